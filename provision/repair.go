package provision

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

const repairLimit = 20 * time.Second // for the access of one tenant in a survey

// reconcileAccess opens or closes accesses that are not what the registry says, because a process died between the two,
// or because only the registry was changed.
func (r *reconcileRun) reconcileAccess(ctx context.Context, ids []tenancy.ID) error {
	var errs []error
	for _, id := range ids {
		err := r.reconcileAccessOf(ctx, id)
		if err != nil && !errors.Is(err, tenancy.ErrNotFound) { // not found: gone meanwhile
			errs = append(errs, fmt.Errorf("settle tenant %q: %w", id, pgerr.Redact(err)))
		}
	}
	return errors.Join(errs...)
}

// reconcileAccessOf takes at most repairLimit, so that one tenant does not hold up the others.
func (r *reconcileRun) reconcileAccessOf(ctx context.Context, id tenancy.ID) error {
	ctx, cancel := context.WithTimeout(ctx, repairLimit)
	defer cancel()
	return r.p.withAccess(ctx, id, func(ctx context.Context, a *access) error {
		if !a.state().drifted(a.t.State) {
			return nil
		}
		if !r.dryRun {
			if err := a.applyState(ctx); err != nil {
				return err
			}
		}
		r.AccessFixed = append(r.AccessFixed, id)
		return nil
	})
}

// repairs are the statements that make the access to database d of role r what [job.access] makes it. r is the tenant's
// own role; without one, only the database is repaired. $1 is the group, $2 the shared role, $3 the limit of
// connections of new roles. A limit that an operator set on a role stays.
const repairs = `array_remove(ARRAY[
	(SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', d.datname)
	 WHERE EXISTS (SELECT FROM aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) WHERE grantee = 0)),
	(SELECT format('REVOKE ALL ON DATABASE %I FROM %s', d.datname, string_agg(DISTINCT quote_ident(x.rolname), ', '))
	 FROM aclexplode(d.datacl) a JOIN pg_roles x ON x.oid = a.grantee AND x.oid <> r.oid AND x.rolname <> $2::text
	 JOIN pg_auth_members m ON m.member = x.oid AND NOT m.admin_option
	 JOIN pg_roles g ON g.oid = m.roleid AND g.rolname = $1::text
	 WHERE x.rolname <> current_user HAVING count(*) > 0),
	(SELECT format('COMMENT ON DATABASE %I IS $tag', d.datname) WHERE shobj_description(d.oid, 'pg_database') IS NULL),
	(SELECT format('ALTER DATABASE %I WITH ALLOW_CONNECTIONS true', d.datname) WHERE NOT d.datallowconn),
	(SELECT format('ALTER ROLE %I NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS', r.rolname)
	 WHERE r.rolsuper OR r.rolcreatedb OR r.rolcreaterole OR r.rolreplication OR r.rolbypassrls),
	(SELECT format('ALTER ROLE %I CONNECTION LIMIT %s', r.rolname, $3::int) WHERE r.rolconnlimit < 0 AND $3::int >= 0),
	(SELECT format('GRANT %I TO %I', $1::text, r.rolname)
		|| CASE WHEN current_setting('server_version_num')::int >= 160000 THEN ' WITH INHERIT TRUE, SET FALSE' ELSE '' END
	 WHERE r.oid IS NOT NULL AND NOT EXISTS (SELECT FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid
		WHERE g.rolname = $1::text AND m.member = r.oid)),
	(SELECT format('REVOKE %I FROM %s', r.rolname, string_agg(DISTINCT quote_ident(x.rolname), ', '))
	 FROM pg_auth_members own JOIN pg_roles x ON x.oid = own.member AND x.rolname <> current_user
	 JOIN pg_auth_members m ON m.member = x.oid AND NOT m.admin_option
	 JOIN pg_roles g ON g.oid = m.roleid AND g.rolname = $1::text
	 WHERE own.roleid = r.oid HAVING count(*) > 0)
	], NULL)`

// seemsForeign reports whether a listed database, or the role of its name, seems to be another's than the tenant's.
func (p *Provisioner) seemsForeign(l observedAccess, t *registry.Tenant) bool {
	f := catalogState{database: true, owner: l.owner, comment: l.comment, role: l.role, roleNote: l.roleNote}
	if !p.ownsDatabase(f, t) {
		return true
	}
	own := t.Endpoint.User == t.Endpoint.Database || t.Adopted && !t.SharedRole
	return own && (!f.role || p.foreignRole(f, t))
}

// reportNotOurs raises the alarm for tenants whose database or role still is another's.
func (r *reconcileRun) reportNotOurs(ctx context.Context, ids []tenancy.ID) error {
	var errs []error
	for _, id := range ids {
		err := r.p.examine(ctx, id, func(_ context.Context, _ *pgx.Conn, f catalogState, t *registry.Tenant) error {
			if !r.p.ownsBoth(f, t) {
				return ErrNotOurs
			}
			return nil
		})
		if !errors.Is(err, ErrNotOurs) {
			errs = append(errs, err)
			continue
		}
		r.NotOurs = append(r.NotOurs, id)
		r.p.logError(ctx, "not the tenant's database or role", id, err)
	}
	return errors.Join(errs...)
}

// repairAccess repairs accesses that were changed by hand, or that a restore left incomplete.
func (r *reconcileRun) repairAccess(ctx context.Context, ids []tenancy.ID) error {
	var errs []error
	for _, id := range ids {
		err := r.repairAccessOf(ctx, id)
		if err != nil && !errors.Is(err, tenancy.ErrNotFound) {
			errs = append(errs, fmt.Errorf("repair the access of tenant %q: %w", id, pgerr.Redact(err)))
		}
	}
	return errors.Join(errs...)
}

func (r *reconcileRun) repairAccessOf(ctx context.Context, id tenancy.ID) error {
	ctx, cancel := context.WithTimeout(ctx, repairLimit)
	defer cancel()
	return r.p.withAccess(ctx, id, func(ctx context.Context, a *access) error {
		if a.t.State != tenancy.Active && a.t.State != tenancy.Suspended {
			return nil
		}
		statements, err := a.repairs(ctx)
		if err != nil || len(statements) == 0 {
			return err
		}
		if !r.dryRun {
			for _, sql := range statements {
				if err := a.run(ctx, a.t.State == tenancy.Suspended, sql); err != nil {
					return err
				}
			}
		}
		r.Repaired = append(r.Repaired, id)
		r.p.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "provision: repaired the access of a tenant",
			slog.String("tenant", string(id)), slog.Any("repairs", statements))
		return nil
	})
}

// repairs returns the statements that the access needs.
func (a *access) repairs(ctx context.Context) ([]string, error) {
	return a.p.repairsOf(ctx, a.conn, a.t.Endpoint.Database, a.ownRole())
}

// repairsOf returns the statements that a database and its role need; the role is empty if it is a shared one.
func (p *Provisioner) repairsOf(ctx context.Context, conn *pgx.Conn, database, role string) ([]string, error) {
	var statements []string
	err := conn.QueryRow(ctx, `SELECT `+repairs+` FROM pg_database d LEFT JOIN pg_roles r ON r.rolname = $5::text
		WHERE d.datname = $4::text`, p.names.groupRole(), p.cfg.SharedRole, p.cfg.TenantConnLimit,
		database, role).Scan(&statements)
	return statements, err
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
		ended, err := r.p.endBlockers(ctx, conn, server, "", r.dryRun)
		r.Terminated = append(r.Terminated, ended...)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
