package provision

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
)

// RoleSetting is a setting that a tenant's role has in the catalogue (pg_db_role_setting). Its value is not told.
type RoleSetting struct {
	Server   string // the registry's name for it
	Role     string
	Database string // where it applies; empty: everywhere
	Setting  string // its name
}

// reportSettings lists the settings of tenants' roles.
func (r *reconcileRun) reportSettings(ctx context.Context, conns map[string]*pgx.Conn) error {
	var errs []error
	for server, conn := range conns {
		rows, _ := conn.Query(ctx, `
			SELECT $3::text, r.rolname::text, coalesce(d.datname, '')::text, split_part(c, '=', 1)
			FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole LEFT JOIN pg_database d ON d.oid = s.setdatabase
			CROSS JOIN unnest(s.setconfig) c
			WHERE `+tenantRole+`
			ORDER BY 2, 3, 4 LIMIT 1000`, r.p.names.groupRole(), r.p.cfg.SharedRole, server)
		settings, err := pgx.CollectRows(rows, pgx.RowToStructByPos[RoleSetting])
		r.RoleSettings = append(r.RoleSettings, settings...)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// endBlockers ends what Run's watchdogs end, for those that call Reconcile themselves.
func (r *reconcileRun) endBlockers(ctx context.Context, conns map[string]*pgx.Conn) error {
	var errs []error
	for server, conn := range conns {
		ended, err := r.p.endBlockers(ctx, conn, server, "", r.looks)
		r.Terminated = append(r.Terminated, ended...)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
