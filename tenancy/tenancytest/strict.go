package tenancytest

import (
	"context"
	"errors"
	"runtime/debug"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/multitracer"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// guard is a tracer that fails a test whose code uses a pool after its lease. It sees what a strict resolver refuses.
type guard struct {
	tb testing.TB

	mu    sync.Mutex // guards ended
	ended bool       // tb has: it must not be called any more
}

// beStrict makes the resolver refuse pools after their leases, and report it to tb.
func (f *Fleet) beStrict(tb testing.TB, cfg *tenancy.Config) {
	f.guard = &guard{tb: tb}
	cfg.Strict = true
	conn := cfg.Base.ConnConfig
	if conn.Tracer == nil {
		conn.Tracer = f.guard
	} else {
		conn.Tracer = multitracer.New(conn.Tracer, f.guard)
	}
}

// TraceAcquireStart implements [pgxpool.AcquireTracer].
func (g *guard) TraceAcquireStart(
	ctx context.Context, _ *pgxpool.Pool, _ pgxpool.TraceAcquireStartData,
) context.Context {
	return ctx
}

// TraceAcquireEnd implements [pgxpool.AcquireTracer]. The goroutine is that of the query.
func (g *guard) TraceAcquireEnd(_ context.Context, _ *pgxpool.Pool, data pgxpool.TraceAcquireEndData) {
	if !errors.Is(data.Err, tenancy.ErrReleased) {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.ended {
		g.tb.Errorf("tenancytest: %v, at\n%s", data.Err, debug.Stack())
	}
}

// TraceQueryStart implements [pgx.QueryTracer], which a tracer must.
func (g *guard) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

// TraceQueryEnd implements [pgx.QueryTracer].
func (g *guard) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// end is called when the test ends. g may be nil.
func (g *guard) end() {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ended = true
}
