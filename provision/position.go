package provision

import "github.com/pgtenancy/pgtenancy/tenancy"

// listed is what a server says of a tenant's database, and of the role of the same name.
type listed struct {
	owner, comment string // of the database
	role           bool   // is there
	roleNote       string // the role's comment
	roleEnters     bool   // it may connect; or there is none
	sharedEnters   bool   // the shared role may
	moved          bool   // the database has indexes of another version of its collation
	broken         bool   // something of the wall is not as it should be
}

// position is where the gate of a tenant that has a role of its own, or the shared one, was seen.
func (l listed) position(shared bool) position {
	seen := signs{fenced: isFenced(l.comment), roleFenced: isFenced(l.roleNote), enters: l.roleEnters}
	if shared {
		seen.enters = l.sharedEnters
	}
	return seen.position(shared)
}

// position is where the gate was found.
func (g *gate) position() position {
	seen := signs{fenced: isFenced(g.f.comment), roleFenced: isFenced(g.f.roleNote), enters: g.f.enters}
	return seen.position(g.shared())
}

// signs tell where a gate stands.
type signs struct {
	fenced     bool // says the mark on the database
	roleFenced bool // says the mark on the role
	enters     bool // the role may connect
}

func isFenced(comment string) bool {
	m, _ := tenancy.ParseOwnerTag(comment)
	return m.Fenced
}

// position is where a gate stands.
type position struct {
	shutting bool // somebody began to shut it
	shut     bool // and came to the end
}

// position reads the gate of a tenant that has a role of its own, or the shared one.
func (l signs) position(shared bool) position {
	if shared {
		return position{shutting: l.fenced || !l.enters, shut: l.fenced && !l.enters}
	}
	return position{shutting: l.fenced || !l.enters, shut: l.roleFenced}
}

// crooked reports whether the gate is not where the tenant's state wants it.
func (p position) crooked(state tenancy.State) bool {
	return state == tenancy.Suspended && !p.shut || state == tenancy.Active && p.shutting
}
