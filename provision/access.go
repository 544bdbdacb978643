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

// access is the way into one tenant's database: the role's right to log in and to connect, and the owner tag. One
// process at a time works on it, under the lock of the tenant's name. With a shared role it changes only the right to
// connect to this database, and ends only the sessions there.
type access struct {
	p    *Provisioner
	conn *pgx.Conn        // on the maintenance database of the tenant's server; holds the lock
	t    *registry.Tenant // as it is under the lock, without its secrets
	f    catalogState
}

// withAccess locks the tenant's name, checks that the database and the role are the tenant's, and calls f. On the
// session of the access no statement waits for a lock for longer than lockTimeout. It returns [ErrNotOurs] or the error
// of f.
func (p *Provisioner) withAccess(ctx context.Context, id tenancy.ID,
	f func(ctx context.Context, a *access) error,
) error {
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

// close keeps all roles but the administrator out of the database. When it returns nil, no session of the tenant's role
// is left there, so nothing more can be written in its name.
//
// The right to connect goes first: its row is the database's, which the role cannot lock. The role can lock its own row
// as long as it has a session, so close ends those before it changes that row.
//
// The last statement writes the owner tag, on the role, or on the database if the role is shared. It says that all of
// it was done: without it, the next survey closes the access again.
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

// open takes back what close did, in one transaction. The owner tag keeps the epoch of the suspension: a router that
// knows an older one must ask the registry first.
func (a *access) open(ctx context.Context) error {
	return a.run(ctx, false, a.sql().open)
}

// accessSQL has the statements that close and open an access; each is a transaction.
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

func (a *access) shared() bool { return a.p.shares(a.t) }

// checkClosed returns an error if a shared role can still connect: as a superuser, or as a member of another role. A
// role of the tenant's own cannot log in.
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
// A session that has just begun is not in pg_stat_activity yet. From before it checks the right to connect until it is
// there, it holds a lock on the database (InitPostgres of PostgreSQL's postinit.c). So once the right is gone and the
// holders of that lock have released it, pg_stat_activity shows every session that got in.
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

// terminate signals the sessions that endSessions ends, does not wait, and returns how many there are.
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

// applyState opens or closes the access, as the tenant's state says.
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
	broken         bool   // a privilege, attribute or membership is wrong
}

// listing has the databases with our prefix on one server.
type listing map[string]observedAccess

// state is the access of a tenant with a role of its own, or with the shared one.
func (l observedAccess) state(shared bool) accessState {
	seen := accessSigns{fenced: isFenced(l.comment), roleFenced: isFenced(l.roleNote), enters: l.roleEnters}
	if shared {
		seen.enters = l.sharedEnters
	}
	return seen.state(shared)
}

// state is what inspectTenant found.
func (a *access) state() accessState {
	seen := accessSigns{fenced: isFenced(a.f.comment), roleFenced: isFenced(a.f.roleNote), enters: a.f.enters}
	return seen.state(a.shared())
}

// accessSigns are what an accessState is read from.
type accessSigns struct {
	fenced     bool // says the owner tag of the database
	roleFenced bool // says the owner tag of the role
	enters     bool // the role may connect
}

func isFenced(comment string) bool {
	m, _ := tenancy.ParseOwnerTag(comment)
	return m.Fenced
}

// accessState says how far a suspension has come.
type accessState struct {
	closing bool // it was begun
	closed  bool // and ended
}

// state reads the signs, for a tenant with a role of its own or with the shared one.
func (l accessSigns) state(shared bool) accessState {
	if shared {
		return accessState{closing: l.fenced || !l.enters, closed: l.fenced && !l.enters}
	}
	return accessState{closing: l.fenced || !l.enters, closed: l.roleFenced}
}

// drifted reports whether the access is not what the tenant's state asks for.
func (p accessState) drifted(state tenancy.State) bool {
	return state == tenancy.Suspended && !p.closed || state == tenancy.Active && p.closing
}
