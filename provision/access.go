package provision

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgadmin"
	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/internal/pglock"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// access is the way into one tenant's database: the role's right to log in and to connect, and the mark. It is held by
// one process at a time, under the lock of the tenant's name. Of a shared role nothing is touched but the right to
// connect to this database, and its sessions there.
type access struct {
	p    *Provisioner
	conn *pgx.Conn        // on the maintenance database of the tenant's server; holds the lock
	t    *registry.Tenant // as it is under the lock, without its secrets
	f    catalogState
}

// withAccess calls f at the gate of a tenant that has a database of its own. No statement on the gate's session waits for a
// lock for longer than lockTimeout.
func (p *Provisioner) withAccess(ctx context.Context, id tenancy.ID, f func(ctx context.Context, a *access) error) error {
	t, err := p.catalog.TenantWithoutSecrets(ctx, id)
	if err != nil {
		return err
	}
	conn, err := p.boundedSession(ctx, t.Server)
	if err != nil {
		return err
	}
	defer pgadmin.Disconnect(conn)
	if err := pglock.LockEvictingIdle(ctx, conn, t.Endpoint.Database, p.lockIdleTimeout()); err != nil {
		return err
	}
	a := &access{p: p, conn: conn}
	if a.t, err = p.catalog.TenantWithoutSecrets(ctx, id); err != nil {
		return err
	}
	if a.f, err = inspectTenant(ctx, conn, a.t.Endpoint); err != nil {
		return err
	}
	if !p.ownsBoth(a.f, a.t) {
		return ErrNotOurs
	}
	return f(ctx, a)
}

func (a *access) retryLocked(ctx context.Context, do func() error) error {
	return a.p.retryLocked(ctx, a.conn, a.t, do)
}

// ownRole is the tenant's role, unless it is the shared one.
func (a *access) ownRole() string {
	if a.shared() {
		return ""
	}
	return a.t.Endpoint.User
}

// close keeps everybody but the administrator out of the database. When it returns nil, no session of the tenant's role
// is left in it, so that nothing more can be written in its name.
//
// The right to connect goes first: its row is the database's, which the role cannot lock. The role's own row it can, as
// long as it has a session, so those are ended first.
//
// The last statement's mark, on the role or, if that is shared, on the database, says that all of it was done; a
// process that dies before is noticed by it.
func (a *access) close(ctx context.Context) error {
	for _, sql := range a.sql().closing {
		if err := a.run(ctx, true, sql); err != nil {
			return err
		}
		if _, err := a.terminate(ctx); err != nil {
			return err
		}
	}
	if err := a.checkClosed(ctx); err != nil {
		return err
	}
	if err := a.endSessions(ctx); err != nil {
		return fmt.Errorf("end sessions: %w", pgerr.Redact(err))
	}
	return a.run(ctx, true, a.sql().closed)
}

// open takes back what shut did, in one transaction. The mark keeps the epoch that the tenant was suspended with: a
// router that knows an older one must ask the registry first.
func (a *access) open(ctx context.Context) error {
	return a.run(ctx, false, a.sql().open)
}

// accessSQL has the statements that move a gate; each is a transaction.
type accessSQL struct {
	closing      []string
	closed, open string
}

func (a *access) sql() accessSQL {
	if a.shared() {
		return accessSQL{
			closing: []string{"REVOKE CONNECT ON DATABASE $database FROM $role, PUBLIC"},
			closed:  "COMMENT ON DATABASE $database IS $tag",
			open: `
				COMMENT ON DATABASE $database IS $tag;
				REVOKE ALL ON DATABASE $database FROM PUBLIC;
				GRANT CONNECT ON DATABASE $database TO $role`,
		}
	}
	return accessSQL{
		closing: []string{
			"REVOKE CONNECT ON DATABASE $database FROM $role, PUBLIC",
			"COMMENT ON DATABASE $database IS $tag",
			"ALTER ROLE $role NOLOGIN",
		},
		closed: "COMMENT ON ROLE $role IS $tag",
		open: `
			COMMENT ON ROLE $role IS $tag;
			COMMENT ON DATABASE $database IS $tag;
			REVOKE ALL ON DATABASE $database FROM PUBLIC;
			GRANT CONNECT ON DATABASE $database TO $role;
			ALTER ROLE $role RESET ALL;
			ALTER ROLE $role IN DATABASE $database RESET ALL;
			ALTER ROLE $role LOGIN`,
	}
}

func (a *access) shared() bool { return a.p.shares(a.t.Endpoint) }

// checkClosed finds the right to connect that a shared role has by another way: it is a superuser by now, or a member of
// a role that has the right. A role of the tenant's own cannot log in with one.
func (a *access) checkClosed(ctx context.Context) error {
	if !a.shared() {
		return nil
	}
	f, err := inspectTenant(ctx, a.conn, a.t.Endpoint)
	if err == nil && f.enters {
		err = fmt.Errorf("role %q can still connect to database %q", a.t.Endpoint.User, a.t.Endpoint.Database)
	}
	return err
}

func (a *access) run(ctx context.Context, fenced bool, sql string) error {
	tag := tenancy.OwnerTag{Tenant: a.t.ID, Epoch: a.t.Epoch, Fenced: fenced}
	sql = strings.NewReplacer(
		"$database", pgadmin.Quote(a.t.Endpoint.Database), "$role", pgadmin.Quote(a.t.Endpoint.User), "$tag", quotedTag(tag),
	).Replace(sql)
	return a.retryLocked(ctx, func() error {
		return pgadmin.RetryRaced(ctx, func() error { return pgadmin.Run(ctx, a.conn, sql) })
	})
}

// endSessions ends the sessions of the tenant's role, those of a shared one in this database only, and those of other
// tenants' roles in this database, and waits until there are none.
//
// A session that is just beginning is not in pg_stat_activity yet. From before it checks the right to connect until it
// is there, it holds a lock on the database (InitPostgres of PostgreSQL's postinit.c). So once the right is gone and
// those that held that lock then have ended it, every session that was let in can be seen.
func (a *access) endSessions(ctx context.Context) error {
	const least, most = 5 * time.Millisecond, 200 * time.Millisecond
	var beginning []int32
	for wait := least; ; wait = min(2*wait, most) {
		rows, _ := a.conn.Query(ctx, `
			SELECT l.pid FROM pg_locks l JOIN pg_database d ON d.oid = l.objid
			WHERE l.locktype = 'object' AND l.classid = 'pg_database'::regclass AND l.mode = 'RowExclusiveLock' AND l.granted
			  AND d.datname = $1::text`, a.t.Endpoint.Database)
		holders, err := pgx.CollectRows(rows, pgx.RowTo[int32])
		if err != nil {
			return err
		}
		if wait == least { // those that come later find the right gone
			beginning = holders
		}
		beginning = slices.DeleteFunc(beginning, func(pid int32) bool { return !slices.Contains(holders, pid) })
		left, err := a.terminate(ctx)
		if err != nil || len(beginning)+left == 0 {
			return err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// terminate tells the sessions that endSessions is about to end, waits for none, and returns how many there are.
func (a *access) terminate(ctx context.Context) (int, error) {
	rows, _ := a.conn.Query(ctx, `
		SELECT a.pid, r.rolname::text, coalesce(a.datname, '')::text, '',
			CASE WHEN `+mayTerminate+` THEN pg_terminate_backend(a.pid) END IS NOT NULL
		FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid
		WHERE r.rolname = $3::text AND (NOT $4::bool OR a.datname = $5::text) OR a.datname = $5::text AND `+tenantRole,
		a.p.names.groupRole(), a.p.cfg.SharedRole, a.t.Endpoint.User, a.shared(), a.t.Endpoint.Database)
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[backend])
	if err != nil {
		return 0, err
	}
	for _, b := range found {
		if b.Ended {
			continue
		}
		if err := b.end(ctx, a.conn); err != nil {
			return 0, err
		}
	}
	return len(found), nil
}

// applyState brings the gate to where the tenant's state wants it.
func (a *access) applyState(ctx context.Context) error {
	if a.t.State == tenancy.Suspended {
		return a.close(ctx)
	}
	return a.open(ctx)
}

// observedAccess is what a server says of a tenant's database, and of the role of the same name.
type observedAccess struct {
	owner, comment string // of the database
	role           bool   // is there
	roleNote       string // the role's comment
	roleEnters     bool   // it may connect; or there is none
	sharedEnters   bool   // the shared role may
	moved          bool   // the database has indexes of another version of its collation
	broken         bool   // something of the wall is not as it should be
}

// state is where the gate of a tenant that has a role of its own, or the shared one, was seen.
func (l observedAccess) state(shared bool) accessState {
	seen := accessSigns{fenced: isFenced(l.comment), roleFenced: isFenced(l.roleNote), enters: l.roleEnters}
	if shared {
		seen.enters = l.sharedEnters
	}
	return seen.state(shared)
}

// state is where the gate was found.
func (a *access) state() accessState {
	seen := accessSigns{fenced: isFenced(a.f.comment), roleFenced: isFenced(a.f.roleNote), enters: a.f.enters}
	return seen.state(a.shared())
}

// accessSigns tell where a gate stands.
type accessSigns struct {
	fenced     bool // says the mark on the database
	roleFenced bool // says the mark on the role
	enters     bool // the role may connect
}

func isFenced(comment string) bool {
	m, _ := tenancy.ParseOwnerTag(comment)
	return m.Fenced
}

// accessState is where a gate stands.
type accessState struct {
	closing bool // somebody began to shut it
	closed  bool // and came to the end
}

// state reads the gate of a tenant that has a role of its own, or the shared one.
func (l accessSigns) state(shared bool) accessState {
	if shared {
		return accessState{closing: l.fenced || !l.enters, closed: l.fenced && !l.enters}
	}
	return accessState{closing: l.fenced || !l.enters, closed: l.roleFenced}
}

// drifted reports whether the gate is not where the tenant's state wants it.
func (p accessState) drifted(state tenancy.State) bool {
	return state == tenancy.Suspended && !p.closed || state == tenancy.Active && p.closing
}
