package tenancy

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
)

// guard decides which connections of one pool come about, and when they must all go. pgx's hooks tell it of each.
type guard struct {
	r        *Resolver
	id       ID
	tenant   atomic.Pointer[Tenant] // what is known of it; replaced while the pool is in use
	bulkhead *bulkhead              // of the server that the pool connects to
	sockets  *sockets               // the pool's
	timeout  time.Duration          // bounds each thing that a new connection waits for
	pool     *pgxpool.Pool          // set before the pool is leased, and so before its first connection

	generation atomic.Int64 // of connections: those of an older one are dropped
	lockedOut  atomic.Bool  // its password was refused however often it was tried
}

// install adds the guard's hooks to those of the user's. Nobody's code gets to see a connection before the fence has
// let it through.
func (g *guard) install(pc *pgxpool.Config) {
	g.timeout = pc.ConnConfig.ConnectTimeout
	if pc.PingTimeout <= 0 {
		pc.PingTimeout = g.timeout // or a connection to a server that has vanished would be pinged for ever
	}
	before, after := pc.BeforeConnect, pc.AfterConnect
	pc.BeforeConnect = func(ctx context.Context, cc *pgx.ConnConfig) error {
		known := g.tenant.Load()
		if password := known.Endpoint.Password; !password.IsZero() {
			cc.Password = password.Reveal()
		}
		if before != nil {
			if err := before(ctx, cc); err != nil {
				return err
			}
		}
		if err := g.bulkhead.admit(); err != nil {
			return err
		}
		g.noticeAbandoned(cc)
		cc.Tracer = &connectAttempt{
			sockets: g.sockets, guard: g, tracer: cc.Tracer, began: g.r.now(), retry: passwordRetry{guard: g, known: known},
		}
		cc.OnPgError = g.watch(cc.OnPgError)
		return nil
	}
	pc.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		if g.r.cfg.Fence {
			if err := g.fence(ctx, conn); err != nil {
				return err
			}
		}
		if after != nil {
			return after(ctx, conn)
		}
		return nil
	}
}

// adopt takes t as what is known of the tenant; it has the target of the pool.
func (g *guard) adopt(t *Tenant) {
	if g.tenant.Swap(t).Endpoint.Password != t.Endpoint.Password {
		g.lockedOut.Store(false)
	}
}

// connected is told how an attempt to connect ended.
func (g *guard) connected(began time.Duration, err error) {
	g.bulkhead.ended(began, err)
	if refusesSettings(err) {
		g.bulkhead.plain.Store(true)
	}
	if refused(err) {
		g.r.doubt(g)
	}
}

// refused reports whether the server is well and does not let this tenant in: the record may be out of date.
func refused(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && slices.Contains([]string{
		pgerr.InvalidAuthorization, // the role may not log in, or is not there
		pgerr.InvalidPassword,
		pgerr.InvalidCatalogName,    // no such database
		pgerr.InsufficientPrivilege, // no right to connect
		pgerr.NotInState,            // the database takes no connections
		poolerError,
	}, pg.Code)
}
