package provision

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// reportRoles reports the roles with our prefix that no row knows. They are not touched: what such a role may do, and
// in whose service, only an operator can tell. One that has a database of its name is not asked about, because that is.
func (r *reconcileRun) reportRoles(ctx context.Context, conns map[string]*pgx.Conn) error {
	var errs []error
	for _, conn := range conns {
		rows, _ := conn.Query(ctx, `
			SELECT rolname::text FROM pg_roles
			WHERE starts_with(rolname::text, $1::text) AND rolname NOT IN ($2, $3)
			  AND NOT EXISTS (SELECT FROM pg_database WHERE datname = rolname)`,
			r.p.cfg.Prefix, r.p.names.ownerRole(), r.p.names.groupRole())
		names, err := pgx.CollectRows(rows, pgx.RowTo[string])
		errs = append(errs, err)
		for _, name := range names {
			stray, err := r.isStray(ctx, conn, name)
			errs = append(errs, err)
			if stray {
				r.UnknownRoles = append(r.UnknownRoles, name)
			}
		}
	}
	return errors.Join(errs...)
}

// isStray asks the registry first: a tenant's role goes before its row does. A warm database may become a tenant's
// meanwhile, so that question comes before the other.
func (r *reconcileRun) isStray(ctx context.Context, conn *pgx.Conn, role string) (stray bool, err error) {
	id := tenancy.ID(role[len(r.p.cfg.Prefix):])
	if warm, err := r.p.catalog.IsWarm(ctx, id); warm || err != nil {
		return false, err
	}
	_, err = r.p.cfg.Registry.Tenant(ctx, id)
	if !errors.Is(err, tenancy.ErrNotFound) && !errors.Is(err, tenancy.ErrInvalidID) {
		return false, err
	}
	err = conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", role).Scan(&stray)
	return stray, err
}
