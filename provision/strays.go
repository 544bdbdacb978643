package provision

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgadmin"
	"github.com/pgtenancy/pgtenancy/internal/pglock"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// reportUnknown reports what is left on the lists, if it is still there and no row knows it. Scratch models whose
// maker is gone are dropped.
func (r *reconcileRun) reportUnknown(ctx context.Context, conns map[string]*pgx.Conn,
	databases map[string]listing,
) error {
	var errs []error
	for server, names := range databases {
		for name := range names {
			unknown, err := r.isUnknown(ctx, conns[server], name)
			errs = append(errs, err)
			if unknown {
				r.Unknown = append(r.Unknown, name)
			}
		}
	}
	return errors.Join(errs...)
}

func (r *reconcileRun) isUnknown(ctx context.Context, conn *pgx.Conn, name string) (bool, error) {
	if !strings.HasPrefix(name, r.p.cfg.Prefix) {
		return false, nil // it was adopted, and is released or dropped meanwhile
	}
	if r.p.names.isModel(name) {
		return r.sweepModel(ctx, conn, name)
	}
	there, err := exists(ctx, conn, name)
	if err != nil || !there {
		return false, err
	}
	id := tenancy.ID(name[len(r.p.cfg.Prefix):])
	// In this order: a sign-up may turn the one into the other in between.
	if warm, err := r.p.catalog.IsWarm(ctx, id); err != nil || warm {
		return false, err
	}
	_, err = r.p.cfg.Registry.Tenant(ctx, id)
	if errors.Is(err, tenancy.ErrNotFound) || errors.Is(err, tenancy.ErrInvalidID) {
		return true, nil
	}
	return false, err
}

// sweepModel drops a scratch model whose lock is free, if our owner role owns it. Otherwise it reports it as unknown.
func (r *reconcileRun) sweepModel(ctx context.Context, conn *pgx.Conn, name string) (unknown bool, err error) {
	free, err := pglock.TryLock(ctx, conn, name)
	if err != nil || !free {
		return false, err
	}
	f, err := inspectTenant(ctx, conn, tenancy.Endpoint{Database: name})
	switch {
	case err != nil:
		return false, err
	case f.database && f.owner != r.p.names.ownerRole():
		unknown = true
	case f.database && !r.dryRun:
		limited, cancel := context.WithTimeout(ctx, workLimit) // a stopped backend holds up every DROP DATABASE
		defer cancel()
		if !f.broken {
			err = pgadmin.CloseDatabase(limited, conn, name)
		}
		if err == nil {
			err = pgadmin.DropDatabase(limited, conn, name)
		}
	}
	return unknown, errors.Join(err, pglock.Unlock(ctx, conn, name))
}

// reportRoles reports the roles with our prefix that no row knows. They are not touched: what such a role may do, and
// in whose service, only an operator can tell. A role is left out if a database of its name is reported.
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

func exists(ctx context.Context, conn *pgx.Conn, database string) (there bool, err error) {
	err = conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", database).Scan(&there)
	return there, err
}
