package tenancytest

import (
	"context"
	"errors"
	"runtime/debug"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// errReleased is what a query gets that uses a pool after its lease.
var errReleased = errors.New("tenancytest: the pool is used after its lease was released")

// guard fails a test whose code uses a pool while no lease is held. It sees each connection that a pool hands out.
type guard struct {
	fleet *Fleet
	next  func(context.Context, *pgx.Conn) (bool, error) // the caller's hook, or nil
	tb    testing.TB

	mu    sync.Mutex // guards ended
	ended bool       // tb has: it must not be called any more
}

// guardPools makes the pools of base report their use to tb.
func (f *Fleet) guardPools(tb testing.TB, base *pgxpool.Config) {
	g := &guard{fleet: f, next: base.PrepareConn, tb: tb}
	base.PrepareConn = g.prepare
	f.guard = g
}

// prepare is a pgxpool.Config.PrepareConn. The goroutine is that of the query.
func (g *guard) prepare(ctx context.Context, conn *pgx.Conn) (bool, error) {
	if g.fleet.Resolver.Stat().Leases() == 0 {
		g.report()
		return true, errReleased
	}
	if g.next == nil {
		return true, nil
	}
	return g.next(ctx, conn)
}

func (g *guard) report() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.ended {
		g.tb.Errorf("%v, at\n%s", errReleased, debug.Stack())
	}
}

// end is called when the test ends.
func (g *guard) end() {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ended = true
}
