package provision

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgadmin"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// catalogState is what the catalogue of a server says of a tenant's database and role.
type catalogState struct {
	database bool
	owner    string // of the database
	broken   bool   // a DROP DATABASE was interrupted: it can only be dropped again
	comment  string
	role     bool
	roleNote string // the role's comment
	enters   bool   // the role may connect to the database
}

// inspectTenant reads the state of the database and role that e names.
func inspectTenant(ctx context.Context, conn *pgx.Conn, e tenancy.Endpoint) (catalogState, error) {
	var f catalogState
	err := conn.QueryRow(ctx, `
		SELECT d.oid IS NOT NULL, coalesce(o.rolname, ''), coalesce(d.datconnlimit = -2, false),
		       coalesce(shobj_description(d.oid, 'pg_database'), ''),
		       r.oid IS NOT NULL, coalesce(shobj_description(r.oid, 'pg_authid'), ''),
		       coalesce(has_database_privilege(r.oid, d.oid, 'CONNECT'), false)
		FROM (SELECT $1::text AS database, $2::text AS role) n
		LEFT JOIN pg_database d ON d.datname = n.database
		LEFT JOIN pg_roles o ON o.oid = d.datdba
		LEFT JOIN pg_roles r ON r.rolname = n.role`, e.Database, e.User,
	).Scan(&f.database, &f.owner, &f.broken, &f.comment, &f.role, &f.roleNote, &f.enters)
	return f, err
}

// ownsDatabase reports whether the database was made for the tenant: its owner is ours, from CREATE DATABASE on, and
// its owner tag is the tenant's. The tag comes a moment later, so a database without one is the tenant's too.
// An adopted database has any owner, and the tag.
func (p *Provisioner) ownsDatabase(f catalogState, t *registry.Tenant) bool {
	m, ok := tenancy.ParseOwnerTag(f.comment)
	tagged := ok && m.Tenant == t.ID
	return t.Adopted && tagged || f.owner == p.names.ownerRole() && (f.comment == "" || tagged)
}

// ownsRole reports whether the role was made for the tenant: the role and its owner tag come in one transaction.
func ownsRole(f catalogState, id tenancy.ID) bool {
	m, ok := tenancy.ParseOwnerTag(f.roleNote)
	return ok && m.Tenant == id
}

// shares reports whether the tenant's role serves other databases too: it is Config.SharedRole, or was adopted as such.
func (p *Provisioner) shares(t *registry.Tenant) bool {
	return t.SharedRole || p.cfg.SharedRole != "" && t.Endpoint.User == p.cfg.SharedRole
}

// keepsRole reports whether the tenant was adopted with the role that its application had: it may own what is in the
// database, and outlives the tenant.
func (p *Provisioner) keepsRole(t *registry.Tenant) bool {
	return t.Adopted && t.Endpoint.User != p.names.tenant(t.ID)
}

// foreignRole reports whether the role that the tenant's row names is another's. The shared role never is.
func (p *Provisioner) foreignRole(f catalogState, t *registry.Tenant) bool {
	return f.role && !ownsRole(f, t.ID) && !p.shares(t)
}

// foreign reports whether the database or the role that was found is another's.
func (p *Provisioner) foreign(f catalogState, t *registry.Tenant) bool {
	return f.database && !p.ownsDatabase(f, t) || p.foreignRole(f, t)
}

// ownsBoth reports whether both the database and the role are there, and are the tenant's.
func (p *Provisioner) ownsBoth(f catalogState, t *registry.Tenant) bool {
	return p.ownsDatabase(f, t) && f.role && !p.foreignRole(f, t)
}

// examine inspects an active or suspended tenant before anything is changed. It returns [ErrNotOurs] if the database or
// the role is another's, else what check returns. For a tenant in another state it returns nil.
func (p *Provisioner) examine(ctx context.Context, id tenancy.ID,
	check func(ctx context.Context, conn *pgx.Conn, f catalogState, t *registry.Tenant) error,
) error {
	t, err := p.catalog.TenantWithoutSecrets(ctx, id)
	if err != nil || t.State != tenancy.Active && t.State != tenancy.Suspended {
		return err
	}
	conn, err := p.session(ctx, t.Server)
	if err != nil {
		return err
	}
	defer pgadmin.Disconnect(conn)
	f, err := inspectTenant(ctx, conn, t.Endpoint)
	if err != nil {
		return err
	}
	if p.foreign(f, t) {
		return ErrNotOurs
	}
	return check(ctx, conn, f, t)
}
