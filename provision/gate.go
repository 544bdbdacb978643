package provision

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pglock"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// gate is the way into one tenant's database: the role's right to log in and to connect, and the mark. It is held by
// one process at a time, under the lock of the tenant's name.
type gate struct {
	p    *Provisioner
	conn *pgx.Conn        // on the maintenance database of the tenant's server; holds the lock
	t    *registry.Tenant // as it is under the lock
	f    found
}

// atGate calls f at the gate of a tenant that has a database of its own.
func (p *Provisioner) atGate(ctx context.Context, id tenancy.ID, f func(ctx context.Context, g *gate) error) error {
	t, err := p.cfg.Registry.Tenant(ctx, id)
	if err != nil {
		return err
	}
	conn, err := p.session(ctx, t.Server)
	if err != nil {
		return err
	}
	defer disconnect(conn)
	if err := pglock.Lock(ctx, conn, t.Endpoint.Database); err != nil {
		return err
	}
	g := &gate{p: p, conn: conn}
	if g.t, err = p.cfg.Registry.Tenant(ctx, id); err != nil {
		return err
	}
	if g.f, err = look(ctx, conn, g.t.Endpoint); err != nil {
		return err
	}
	if !p.ownsDatabase(g.f, id) || !ownsRole(g.f, id) {
		return ErrNotOurs
	}
	return f(ctx, g)
}

// shut keeps everybody but the administrator out of the database. When it returns nil, no session of the tenant's role
// is left, so that nothing more can be written in its name.
//
// The mark on the role comes last and says that all of it was done; a process that dies before is noticed by it.
func (g *gate) shut(ctx context.Context) error {
	// The administrator must have the role's rights to end its sessions.
	if err := joinRole(ctx, g.conn, g.t.Endpoint.User); err != nil {
		return fmt.Errorf("join role: %w", err)
	}
	err := g.run(ctx, true, `
		ALTER ROLE $role NOLOGIN;
		REVOKE CONNECT ON DATABASE $database FROM $role;
		COMMENT ON DATABASE $database IS $mark`)
	if err != nil {
		return err
	}
	if err := g.endSessions(ctx); err != nil {
		return fmt.Errorf("end sessions: %w", err)
	}
	return g.run(ctx, true, "COMMENT ON ROLE $role IS $mark")
}

// open takes back what shut did, in one transaction. The mark keeps the epoch that the tenant was suspended with: a
// router that knows an older one must ask the registry first.
func (g *gate) open(ctx context.Context) error {
	return g.run(ctx, false, `
		COMMENT ON ROLE $role IS $mark;
		COMMENT ON DATABASE $database IS $mark;
		GRANT CONNECT ON DATABASE $database TO $role;
		ALTER ROLE $role LOGIN`)
}

func (g *gate) run(ctx context.Context, fenced bool, sql string) error {
	mark := tenancy.Mark{Tenant: g.t.ID, Epoch: g.t.Epoch, Fenced: fenced}
	sql = strings.NewReplacer(
		"$database", quote(g.t.Endpoint.Database), "$role", quote(g.t.Endpoint.User), "$mark", literal(mark),
	).Replace(sql)
	return retryRaced(ctx, func() error { return run(ctx, g.conn, sql) })
}

// endSessions ends the sessions of the tenant's role, and waits until there are none.
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
			WHERE r.rolname = $1`, g.t.Endpoint.User).Scan(&ended)
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

// position is where the gate was found.
func (g *gate) position() listed {
	database, _ := tenancy.ParseMark(g.f.comment)
	role, _ := tenancy.ParseMark(g.f.roleNote)
	return listed{shutting: database.Fenced, shut: role.Fenced}
}
