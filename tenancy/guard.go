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
)

// guard decides which connections of one pool come about, and when they must all go. pgx's hooks tell it of each.
type guard struct {
	r        *Resolver
	tenant   Tenant        // as it was looked up when the pool was opened
	bulkhead *bulkhead     // of the server that the pool connects to
	timeout  time.Duration // bounds each thing that a new connection waits for
	pool     *pgxpool.Pool // set before the pool is leased, and so before its first connection

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
		if before != nil {
			if err := before(ctx, cc); err != nil {
				return err
			}
		}
		if err := g.bulkhead.admit(); err != nil {
			return err
		}
		g.noticeAbandoned(cc)
		cc.Tracer = &trial{guard: g, tracer: cc.Tracer, began: g.r.now(), login: login{guard: g}}
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
		"28000", // the role may not log in, or is not there
		"28P01", // wrong password
		"3D000", // no such database
		"42501", // no right to connect
		"55000", // the database takes no connections
		poolerError,
	}, pg.Code)
}
