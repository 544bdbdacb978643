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

// gate is the way into one tenant's database: the role's right to log in and to connect, and the mark. It is held by
// one process at a time, under the lock of the tenant's name. Of a shared role nothing is touched but the right to
// connect to this database, and its sessions there.
type gate struct {
	p    *Provisioner
	conn *pgx.Conn        // on the maintenance database of the tenant's server; holds the lock
	t    *registry.Tenant // as it is under the lock, without its secrets
	f    found
}

// atGate calls f at the gate of a tenant that has a database of its own. No statement on the gate's session waits for a
// lock for longer than lockTimeout.
func (p *Provisioner) atGate(ctx context.Context, id tenancy.ID, f func(ctx context.Context, g *gate) error) error {
	t, err := p.catalog.TenantWithoutSecrets(ctx, id)
	if err != nil {
		return err
	}
	conn, err := p.boundedSession(ctx, t.Server)
	if err != nil {
		return err
	}
	defer pgadmin.Disconnect(conn)
	if err := pglock.Outwait(ctx, conn, t.Endpoint.Database, p.patience()); err != nil {
		return err
	}
	g := &gate{p: p, conn: conn}
	if g.t, err = p.catalog.TenantWithoutSecrets(ctx, id); err != nil {
		return err
	}
	if g.f, err = look(ctx, conn, g.t.Endpoint); err != nil {
		return err
	}
	if !p.ownsGate(g.f, g.t) {
		return ErrNotOurs
	}
	return f(ctx, g)
}

func (g *gate) insist(ctx context.Context, do func() error) error {
	return g.p.insist(ctx, g.conn, g.t, do)
}

// ownRole is the tenant's role, unless it is the shared one.
func (g *gate) ownRole() string {
	if g.shared() {
		return ""
	}
	return g.t.Endpoint.User
}

// shut keeps everybody but the administrator out of the database. When it returns nil, no session of the tenant's role
// is left in it, so that nothing more can be written in its name.
//
// The right to connect goes first: its row is the database's, which the role cannot lock. The role's own row it can, as
// long as it has a session, so those are ended first.
//
// The last statement's mark, on the role or, if that is shared, on the database, says that all of it was done; a
// process that dies before is noticed by it.
func (g *gate) shut(ctx context.Context) error {
	for _, sql := range g.sql().shutting {
		if err := g.run(ctx, true, sql); err != nil {
			return err
		}
		if _, err := g.terminate(ctx); err != nil {
			return err
		}
	}
	if err := g.checkShut(ctx); err != nil {
		return err
	}
	if err := g.endSessions(ctx); err != nil {
		return fmt.Errorf("end sessions: %w", pgerr.Redact(err))
	}
	return g.run(ctx, true, g.sql().shut)
}

// open takes back what shut did, in one transaction. The mark keeps the epoch that the tenant was suspended with: a
// router that knows an older one must ask the registry first.
func (g *gate) open(ctx context.Context) error {
	return g.run(ctx, false, g.sql().open)
}

// gateSQL has the statements that move a gate; each is a transaction.
type gateSQL struct {
	shutting   []string
	shut, open string
}

func (g *gate) sql() gateSQL {
	if g.shared() {
		return gateSQL{
			shutting: []string{"REVOKE CONNECT ON DATABASE $database FROM $role, PUBLIC"},
			shut:     "COMMENT ON DATABASE $database IS $mark",
			open: `
				COMMENT ON DATABASE $database IS $mark;
				REVOKE ALL ON DATABASE $database FROM PUBLIC;
				GRANT CONNECT ON DATABASE $database TO $role`,
		}
	}
	return gateSQL{
		shutting: []string{
			"REVOKE CONNECT ON DATABASE $database FROM $role, PUBLIC",
			"COMMENT ON DATABASE $database IS $mark",
			"ALTER ROLE $role NOLOGIN",
		},
		shut: "COMMENT ON ROLE $role IS $mark",
		open: `
			COMMENT ON ROLE $role IS $mark;
			COMMENT ON DATABASE $database IS $mark;
			REVOKE ALL ON DATABASE $database FROM PUBLIC;
			GRANT CONNECT ON DATABASE $database TO $role;
			ALTER ROLE $role RESET ALL;
			ALTER ROLE $role IN DATABASE $database RESET ALL;
			ALTER ROLE $role LOGIN`,
	}
}

func (g *gate) shared() bool { return g.p.shares(g.t.Endpoint) }

// checkShut finds the right to connect that a shared role has by another way: it is a superuser by now, or a member of
// a role that has the right. A role of the tenant's own cannot log in with one.
func (g *gate) checkShut(ctx context.Context) error {
	if !g.shared() {
		return nil
	}
	f, err := look(ctx, g.conn, g.t.Endpoint)
	if err == nil && f.enters {
		err = fmt.Errorf("role %q can still connect to database %q", g.t.Endpoint.User, g.t.Endpoint.Database)
	}
	return err
}

func (g *gate) run(ctx context.Context, fenced bool, sql string) error {
	mark := tenancy.OwnerTag{Tenant: g.t.ID, Epoch: g.t.Epoch, Fenced: fenced}
	sql = strings.NewReplacer(
		"$database", pgadmin.Quote(g.t.Endpoint.Database), "$role", pgadmin.Quote(g.t.Endpoint.User), "$mark", literal(mark),
	).Replace(sql)
	return g.insist(ctx, func() error {
		return pgadmin.RetryRaced(ctx, func() error { return pgadmin.Run(ctx, g.conn, sql) })
	})
}

// endSessions ends the sessions of the tenant's role, those of a shared one in this database only, and those of other
// tenants' roles in this database, and waits until there are none.
//
// A session that is just beginning is not in pg_stat_activity yet. From before it checks the right to connect until it
// is there, it holds a lock on the database (InitPostgres of PostgreSQL's postinit.c). So once the right is gone and
// those that held that lock then have ended it, every session that was let in can be seen.
func (g *gate) endSessions(ctx context.Context) error {
	const least, most = 5 * time.Millisecond, 200 * time.Millisecond
	var beginning []int32
	for wait := least; ; wait = min(2*wait, most) {
		rows, _ := g.conn.Query(ctx, `
			SELECT l.pid FROM pg_locks l JOIN pg_database d ON d.oid = l.objid
			WHERE l.locktype = 'object' AND l.classid = 'pg_database'::regclass AND l.mode = 'RowExclusiveLock' AND l.granted
			  AND d.datname = $1::text`, g.t.Endpoint.Database)
		holders, err := pgx.CollectRows(rows, pgx.RowTo[int32])
		if err != nil {
			return err
		}
		if wait == least { // those that come later find the right gone
			beginning = holders
		}
		beginning = slices.DeleteFunc(beginning, func(pid int32) bool { return !slices.Contains(holders, pid) })
		left, err := g.terminate(ctx)
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
func (g *gate) terminate(ctx context.Context) (int, error) {
	rows, _ := g.conn.Query(ctx, `
		SELECT a.pid, r.rolname::text, coalesce(a.datname, '')::text, '',
			CASE WHEN `+mayTerminate+` THEN pg_terminate_backend(a.pid) END IS NOT NULL
		FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid
		WHERE r.rolname = $3::text AND (NOT $4::bool OR a.datname = $5::text) OR a.datname = $5::text AND `+tenantRole,
		g.p.names.groupRole(), g.p.cfg.SharedRole, g.t.Endpoint.User, g.shared(), g.t.Endpoint.Database)
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[backend])
	if err != nil {
		return 0, err
	}
	for _, b := range found {
		if b.Ended {
			continue
		}
		if err := b.end(ctx, g.conn); err != nil {
			return 0, err
		}
	}
	return len(found), nil
}

// settle brings the gate to where the tenant's state wants it.
func (g *gate) settle(ctx context.Context) error {
	if g.t.State == tenancy.Suspended {
		return g.shut(ctx)
	}
	return g.open(ctx)
}

// listed is what a server says of a tenant's database, and of the role of the same name.
type listed struct {
	owner, comment string // of the database
	role           bool   // is there
	roleNote       string // the role's comment
	roleEnters     bool   // it may connect; or there is none
	sharedEnters   bool   // the shared role may
	moved          bool   // the database has indexes of another version of its collation
	broken         bool   // something of the wall is not as it should be
}

// position is where the gate of a tenant that has a role of its own, or the shared one, was seen.
func (l listed) position(shared bool) position {
	seen := signs{fenced: isFenced(l.comment), roleFenced: isFenced(l.roleNote), enters: l.roleEnters}
	if shared {
		seen.enters = l.sharedEnters
	}
	return seen.position(shared)
}

// position is where the gate was found.
func (g *gate) position() position {
	seen := signs{fenced: isFenced(g.f.comment), roleFenced: isFenced(g.f.roleNote), enters: g.f.enters}
	return seen.position(g.shared())
}

// signs tell where a gate stands.
type signs struct {
	fenced     bool // says the mark on the database
	roleFenced bool // says the mark on the role
	enters     bool // the role may connect
}

func isFenced(comment string) bool {
	m, _ := tenancy.ParseOwnerTag(comment)
	return m.Fenced
}

// position is where a gate stands.
type position struct {
	shutting bool // somebody began to shut it
	shut     bool // and came to the end
}

// position reads the gate of a tenant that has a role of its own, or the shared one.
func (l signs) position(shared bool) position {
	if shared {
		return position{shutting: l.fenced || !l.enters, shut: l.fenced && !l.enters}
	}
	return position{shutting: l.fenced || !l.enters, shut: l.roleFenced}
}

// crooked reports whether the gate is not where the tenant's state wants it.
func (p position) crooked(state tenancy.State) bool {
	return state == tenancy.Suspended && !p.shut || state == tenancy.Active && p.shutting
}
