package provision

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/registry"
)

// secure makes sure that an upgrade of t meets nothing that the tenant has made: what is written for the default
// search_path, as a schema's files are, would call a tenant's functions as the administrator. With dryRun it only
// looks.
func (p *Provisioner) secure(ctx context.Context, t *registry.Tenant, dryRun bool) error {
	conn, err := p.sessionIn(ctx, t.Server, t.Endpoint.Database)
	if err != nil {
		return err
	}
	defer disconnect(conn)
	roles := p.tenantRoles()
	if !p.shares(t.Endpoint) {
		roles = append(roles, t.Endpoint.User)
	}
	if !dryRun {
		if err := closePublic(ctx, conn, roles...); err != nil {
			return err
		}
	}
	if p.shares(t.Endpoint) {
		return nil // the schema may give its objects to the operator's role
	}
	return checkMade(ctx, conn, t.Endpoint.User)
}

// checkMade returns ErrTenantObjects if role owns something in conn's database that a name finds: nothing temporary, no
// large object, no default privileges.
func checkMade(ctx context.Context, conn *pgx.Conn, role string) error {
	const most = 5
	rows, _ := conn.Query(ctx, `
		SELECT pg_describe_object(s.classid, s.objid, s.objsubid)
		FROM pg_shdepend s, pg_identify_object(s.classid, s.objid, s.objsubid) i
		WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND s.deptype = 'o'
		  AND s.refclassid = 'pg_authid'::regclass AND s.refobjid = (SELECT oid FROM pg_roles WHERE rolname = $1::text)
		  AND s.classid NOT IN ('pg_largeobject'::regclass, 'pg_default_acl'::regclass)
		  AND coalesce(i.schema, '') !~ '^pg_(toast_)?temp'
		ORDER BY 1 LIMIT $2::int`, role, most)
	made, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(made) == 0 {
		return err
	}
	return fmt.Errorf("%w: %s", ErrTenantObjects, strings.Join(made, ", "))
}
