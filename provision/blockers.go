package provision

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgadmin"
	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// TerminatedSession is a session of a tenant's role that was terminated because it blocked others.
type TerminatedSession struct {
	Server   string // the registry's name for it
	Role     string
	Database string // the session's own
	Reason   string // what it did; constant text
}

// tenantRole is the condition that r, of pg_roles, is a role of tenants: a direct member of the group $1, or the shared
// role $2. The administrator may be a member too, by way of tenants' roles, or as the one who made the group.
const tenantRole = `(r.rolname = $2::text OR EXISTS (
		SELECT FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid
		WHERE g.rolname = $1::text AND m.member = r.oid AND NOT m.admin_option))
	AND NOT r.rolsuper AND r.rolname <> current_user`

// mayTerminate is the condition that the administrator may end sessions of r.
const mayTerminate = `(pg_has_role(r.oid, 'USAGE') OR pg_has_role('pg_signal_backend'::name, 'USAGE'))`

// findBlockers finds sessions of tenants' roles that keep others from their work, and ends them if $3 says so. $4 is a
// role whose open changes of a shared catalogue count, whether they block anybody or not.
//
// PostgreSQL takes the lock on a database before it checks who owns it. A session that holds one on another's database
// together with a session that waits for AccessExclusiveLock there keeps all other sessions out of it. Object 0 stands
// for all databases: NOTIFY locks it while it commits. A listener that stays in a transaction keeps the queue of
// notifications from being emptied; PostgreSQL does not show who listens.
const findBlockers = `
	WITH suspects AS MATERIALIZED (
		SELECT l.pid, 'locks a database' AS reason
		FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
		WHERE l.locktype = 'object' AND l.database = 0 AND l.classid = 'pg_database'::regclass AND l.objid <> 0
		  AND (l.objid <> a.datid OR l.mode = 'AccessExclusiveLock')
		UNION ALL
		SELECT b.pid, 'blocks the administrator'
		FROM pg_stat_activity w CROSS JOIN LATERAL unnest(pg_blocking_pids(w.pid)) b (pid)
		WHERE w.usename = current_user AND w.wait_event_type = 'Lock'
		  AND (w.datname = current_database() OR EXISTS (
			SELECT FROM pg_locks l WHERE l.pid = w.pid AND NOT l.granted AND l.locktype = 'object' AND l.database = 0))
		UNION ALL
		SELECT l.pid, 'holds a change of a shared catalogue open'
		FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
		WHERE l.locktype = 'relation' AND l.database = 0 AND l.mode NOT IN ('AccessShareLock', 'RowShareLock')
		  AND a.usename = $4::text
		UNION ALL (
		SELECT a.pid, 'holds back the queue of notifications'
		FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid
		WHERE (SELECT pg_notification_queue_usage()) > 0.5 AND a.xact_start < clock_timestamp() - interval '10 s'
		  AND ` + tenantRole + `
		ORDER BY a.xact_start LIMIT 1)
	), found AS MATERIALIZED (
		SELECT a.pid, a.datname, r.oid, r.rolname, min(s.reason) AS reason
		FROM suspects s JOIN pg_stat_activity a ON a.pid = s.pid JOIN pg_roles r ON r.oid = a.usesysid
		WHERE ` + tenantRole + `
		GROUP BY a.pid, a.datname, r.oid, r.rolname
	)
	SELECT pid, rolname::text, coalesce(datname, '')::text, reason,
		CASE WHEN $3::bool AND ` + mayTerminate + ` THEN pg_terminate_backend(pid) END IS NOT NULL
	FROM found r`

// endBlockers ends sessions of tenants' roles that keep others from their work, and says which; with looks it only
// says. Those of role count also if they have changed a shared catalogue and not committed.
func (p *Provisioner) endBlockers(ctx context.Context, conn *pgx.Conn, server, role string, looks bool) (
	[]TerminatedSession, error,
) {
	const name = "pgtenancy_blockers" // prepared once for a session: planning takes far longer than a look
	if _, err := conn.Prepare(ctx, name, findBlockers); err != nil {
		return nil, err
	}
	rows, _ := conn.Query(ctx, name, p.names.groupRole(), p.cfg.SharedRole, !looks, role)
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[backend])
	if err != nil {
		return nil, err
	}
	var terminated []TerminatedSession
	var errs []error
	for _, b := range found {
		if !b.Ended && !looks {
			if err := b.end(ctx, conn); err != nil {
				errs = append(errs, err)
				continue
			}
		}
		terminated = append(terminated, TerminatedSession{server, b.Role, b.Database, b.Reason})
	}
	return terminated, errors.Join(errs...)
}

// retryLocked calls do, up to five times, while a lock is in its way. Before each new try it ends the sessions of t's
// own role that hold a change of a shared catalogue open, and sessions of other tenants' roles that hold locks on
// databases other than their own. So a tenant cannot stop a suspension, a drop or a change of its password with an open
// transaction. conn has lockTimeout.
func (p *Provisioner) retryLocked(ctx context.Context, conn *pgx.Conn, t *registry.Tenant, do func() error) error {
	const tries = 5
	own := t.Endpoint.User
	if p.shares(t) {
		own = ""
	}
	for try := 1; ; try++ {
		err := do()
		if !pgerr.IsState(err, pgerr.LockNotAvailable) {
			return err
		}
		if try == tries {
			return cmp.Or(p.checkPrepared(ctx, conn, t.Endpoint), err)
		}
		ended, err := p.endBlockers(ctx, conn, t.Server.Name, own, false)
		p.logTerminated(ctx, ended)
		if err != nil {
			return err
		}
	}
}

// backend is a session of a tenant's role.
type backend struct {
	PID                    int32
	Role, Database, Reason string
	Ended                  bool // it was told to end
}

// end ends the session after the administrator has got the right to.
func (b backend) end(ctx context.Context, conn *pgx.Conn) error {
	if err := pgadmin.JoinRole(ctx, conn, b.Role); err != nil {
		return fmt.Errorf("end a session of role %q: join role: %w", b.Role, pgerr.Redact(err))
	}
	_, err := conn.Exec(ctx, `
		SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1::int AND usename = $2::text`,
		b.PID, b.Role)
	if err != nil {
		return fmt.Errorf("end a session of role %q: %w", b.Role, pgerr.Redact(err))
	}
	return nil
}

// checkUnused returns an *InUseError if DROP DATABASE would refuse.
func checkUnused(ctx context.Context, conn *pgx.Conn, database string) error {
	return inUse(ctx, conn, database, `
		SELECT 'prepared transaction ' || quote_ident(gid) FROM pg_prepared_xacts WHERE database = $1::text
		UNION ALL
		SELECT 'replication slot ' || quote_ident(slot_name) || ' that is active' FROM pg_replication_slots
		WHERE database = $1::text AND slot_type = 'logical' AND active
		UNION ALL
		SELECT 'subscription ' || quote_ident(subname) FROM pg_subscription
		WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = $1::text)`, database)
}

// checkPrepared returns an *InUseError if the tenant's role has a prepared transaction, which holds its locks without a
// session.
func (p *Provisioner) checkPrepared(ctx context.Context, conn *pgx.Conn, e tenancy.Endpoint) error {
	return inUse(ctx, conn, e.Database,
		`SELECT 'prepared transaction ' || quote_ident(gid) FROM pg_prepared_xacts WHERE owner = $1::text`, e.User)
}

func inUse(ctx context.Context, conn *pgx.Conn, database, sql, arg string) error {
	rows, _ := conn.Query(ctx, sql, arg)
	by, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err == nil && len(by) > 0 {
		err = &InUseError{database, by}
	}
	return err
}

func (p *Provisioner) logTerminated(ctx context.Context, sessions []TerminatedSession) {
	for _, s := range sessions {
		p.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "provision: terminated a session of a tenant's role",
			slog.String("server", s.Server), slog.String("role", s.Role), slog.String("database", s.Database),
			slog.String("reason", s.Reason))
	}
}
