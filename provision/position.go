package provision

import "github.com/pgtenancy/pgtenancy/tenancy"

// listed is what a server says of a tenant's gate.
type listed struct {
	fenced     bool // says the mark on the database
	roleFenced bool // says the mark on the role of the same name
	enters     bool // the shared role may connect
	moved      bool // the database has indexes of another version of its collation
}

// position is where the gate was found.
func (g *gate) position() position {
	seen := listed{fenced: isFenced(g.f.comment), roleFenced: isFenced(g.f.roleNote), enters: g.f.enters}
	return seen.position(g.shared())
}

func isFenced(comment string) bool {
	m, _ := tenancy.ParseMark(comment)
	return m.Fenced
}

// position is where a gate stands.
type position struct {
	shutting bool // somebody began to shut it
	shut     bool // and came to the end
}

// position reads the gate of a tenant that has a role of its own, or the shared one.
func (l listed) position(shared bool) position {
	if shared {
		return position{shutting: l.fenced || !l.enters, shut: l.fenced && !l.enters}
	}
	return position{shutting: l.fenced, shut: l.roleFenced}
}

// crooked reports whether the gate is not where the tenant's state wants it.
func (p position) crooked(state tenancy.State) bool {
	return state == tenancy.Suspended && !p.shut || state == tenancy.Active && p.shutting
}
