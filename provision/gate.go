package provision

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

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

// atGate calls f at the gate of a tenant that has a database of its own.
func (p *Provisioner) atGate(ctx context.Context, id tenancy.ID, f func(ctx context.Context, g *gate) error) error {
	t, err := p.cfg.Registry.TenantWithoutSecrets(ctx, id)
	if err != nil {
		return err
	}
	conn, err := p.session(ctx, t.Server)
	if err != nil {
		return err
	}
	defer disconnect(conn)
	if err := pglock.Outwait(ctx, conn, t.Endpoint.Database, p.patience()); err != nil {
		return err
	}
	g := &gate{p: p, conn: conn}
	if g.t, err = p.cfg.Registry.TenantWithoutSecrets(ctx, id); err != nil {
		return err
	}
	if g.f, err = look(ctx, conn, g.t.Endpoint); err != nil {
		return err
	}
	if !p.ownsDatabase(g.f, id) || !g.f.role || p.foreignRole(g.f, g.t) {
		return ErrNotOurs
	}
	return f(ctx, g)
}

// shut keeps everybody but the administrator out of the database. When it returns nil, no session of the tenant's role
// is left in it, so that nothing more can be written in its name.
//
// The last statement's mark, on the role or, if that is shared, on the database, says that all of it was done; a process
// that dies before is noticed by it.
func (g *gate) shut(ctx context.Context) error {
	// The administrator must have the role's rights to end its sessions.
	if err := joinRole(ctx, g.conn, g.t.Endpoint.User); err != nil {
		return fmt.Errorf("join role: %w", pgerr.Redact(err))
	}
	sql := g.sql()
	if err := g.run(ctx, true, sql.shutting); err != nil {
		return err
	}
	if err := g.checkShut(ctx); err != nil {
		return err
	}
	if err := g.endSessions(ctx); err != nil {
		return fmt.Errorf("end sessions: %w", pgerr.Redact(err))
	}
	return g.run(ctx, true, sql.shut)
}

// open takes back what shut did, in one transaction. The mark keeps the epoch that the tenant was suspended with: a
// router that knows an older one must ask the registry first.
func (g *gate) open(ctx context.Context) error {
	return g.run(ctx, false, g.sql().open)
}

// gateSQL has the statements that move a gate.
type gateSQL struct{ shutting, shut, open string }

func (g *gate) sql() gateSQL {
	if g.shared() {
		return gateSQL{
			shutting: "REVOKE CONNECT ON DATABASE $database FROM $role, PUBLIC",
			shut:     "COMMENT ON DATABASE $database IS $mark",
			open: `
				COMMENT ON DATABASE $database IS $mark;
				GRANT CONNECT ON DATABASE $database TO $role`,
		}
	}
	return gateSQL{
		shutting: `
			ALTER ROLE $role NOLOGIN;
			REVOKE CONNECT ON DATABASE $database FROM $role;
			COMMENT ON DATABASE $database IS $mark`,
		shut: "COMMENT ON ROLE $role IS $mark",
		open: `
			COMMENT ON ROLE $role IS $mark;
			COMMENT ON DATABASE $database IS $mark;
			GRANT CONNECT ON DATABASE $database TO $role;
			ALTER ROLE $role LOGIN`,
	}
}

func (g *gate) shared() bool { return g.p.shares(g.t.Endpoint) }

// checkShut finds the right to connect that a shared role has by another way: it is a superuser by now, or a member of a
// role that has the right. A role of the tenant's own cannot log in with one.
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
	mark := tenancy.Mark{Tenant: g.t.ID, Epoch: g.t.Epoch, Fenced: fenced}
	sql = strings.NewReplacer(
		"$database", quote(g.t.Endpoint.Database), "$role", quote(g.t.Endpoint.User), "$mark", literal(mark),
	).Replace(sql)
	return retryRaced(ctx, func() error { return run(ctx, g.conn, sql) })
}

// endSessions ends the sessions of the tenant's role, those of a shared one in this database only, and waits until there
// are none.
//
// A session that is just beginning is not in pg_stat_activity yet. From before it checks the right to connect until it
// is there, it holds a lock on the database (InitPostgres of PostgreSQL's postinit.c). So once the right is gone and
// nobody holds that lock, every session that was let in can be seen.
func (g *gate) endSessions(ctx context.Context) error {
	const least, most = 5 * time.Millisecond, 200 * time.Millisecond
	for wait := least; ; wait = min(2*wait, most) {
		var beginning, ended int
		err := g.conn.QueryRow(ctx, `
			SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.objid
			WHERE l.locktype = 'object' AND l.classid = 'pg_database'::regclass AND l.mode = 'RowExclusiveLock'
			  AND d.datname = $1`, g.t.Endpoint.Database).Scan(&beginning)
		if err != nil {
			return err
		}
		err = g.conn.QueryRow(ctx, `
			SELECT count(pg_terminate_backend(a.pid)) FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid
			WHERE r.rolname = $1 AND (NOT $2::bool OR a.datname = $3)`,
			g.t.Endpoint.User, g.shared(), g.t.Endpoint.Database).Scan(&ended)
		if err != nil || beginning+ended == 0 {
			return err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// settle brings the gate to where the tenant's state wants it.
func (g *gate) settle(ctx context.Context) error {
	if g.t.State == tenancy.Suspended {
		return g.shut(ctx)
	}
	return g.open(ctx)
}
