package tenancy_test

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

func TestTenantThatCameBackKeepsItsConnection(t *testing.T) {
	t.Parallel()
	dir, base, _ := crowd(t, 3)
	r := resolver(t, tenancy.Config{Directory: dir, Base: base, MaxConns: 2})
	defer closeNow(t, r)
	for _, id := range []tenancy.ID{"t0", "t0", "t0", "t1", "t2", "t0"} {
		if err := query(t, r, id); err != nil {
			t.Fatal(err)
		}
	}
	if s := pgStat(t, r); s.DialCount() != 3 || s.StealCount() != 1 || s.PreemptCount() != 0 {
		t.Errorf("%+v", s)
	}
}

// spy counts the calls of the caller's tracer.
type spy struct{ queries, acquires, connects atomic.Int64 }

func (s *spy) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	s.queries.Add(1)
	return ctx
}

func (s *spy) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (s *spy) TraceAcquireStart(ctx context.Context, _ *pgxpool.Pool, _ pgxpool.TraceAcquireStartData) context.Context {
	s.acquires.Add(1)
	return ctx
}

func (s *spy) TraceAcquireEnd(context.Context, *pgxpool.Pool, pgxpool.TraceAcquireEndData) {}

func (s *spy) TraceConnectStart(ctx context.Context, _ pgx.TraceConnectStartData) context.Context {
	s.connects.Add(1)
	return ctx
}

func (s *spy) TraceConnectEnd(context.Context, pgx.TraceConnectEndData) {}

func TestBudgetLeavesHooksAndTracersAlone(t *testing.T) {
	t.Parallel()
	dir, base, _ := crowd(t, 2)
	var first, second spy
	var prepared, released atomic.Int64
	base.ConnConfig.Tracer = &first
	base.BeforeConnect = func(_ context.Context, cc *pgx.ConnConfig) error {
		cc.Tracer = &second // takes the place of ours too
		return nil
	}
	base.PrepareConn = func(context.Context, *pgx.Conn) (bool, error) { prepared.Add(1); return true, nil }
	base.AfterRelease = func(*pgx.Conn) bool { released.Add(1); return true }
	r := resolver(t, tenancy.Config{Directory: dir, Base: base, MaxConns: 1})
	defer closeNow(t, r)
	for _, id := range []tenancy.ID{"t0", "t1"} {
		if err := query(t, r, id); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "released", func() bool { return released.Load() == 2 })
	if s := pgStat(t, r); s.DialCount() != 2 || s.OpenConns() != 1 || s.StealCount() != 1 {
		t.Errorf("%+v", s)
	}
	if prepared.Load() != 2 || first.acquires.Load() != 2 || second.queries.Load() != 2 || second.connects.Load() != 2 {
		t.Errorf("%d prepared, %d acquires, %d queries, %d connects",
			prepared.Load(), first.acquires.Load(), second.queries.Load(), second.connects.Load())
	}
}

// A tenant's pool does not dial while the server is full and it has a connection that will soon be free: within 25 ms.
// A release that came later, on a busy machine, does not count; and a query that comes in the instant of the release
// may dial.
func TestBusyTenantWaitsForItsOwnConnection(t *testing.T) {
	t.Parallel()
	dir, base, _ := crowd(t, 1)
	const want = 8
	inTime, once := 0, 0
	for range 50 {
		dials, took := dialsOfABusyTenant(t, tenancy.Config{Directory: dir, Base: base, MaxConns: 1})
		if took > 20*time.Millisecond {
			continue
		}
		inTime++
		if dials == 1 {
			once++
		}
		if inTime == want+2 {
			break
		}
	}
	if once < want {
		t.Errorf("%d of %d queries waited for the connection, want %d", once, inTime, want)
	}
}

// dialsOfABusyTenant has a tenant wait for the only connection, and returns how many there were in the end and after
// which time the first was released.
func dialsOfABusyTenant(t *testing.T, cfg tenancy.Config) (dials int64, took time.Duration) {
	t.Helper()
	r := resolver(t, cfg)
	defer closeNow(t, r)
	l := acquire(t, r, "t0")
	defer l.Release()
	conn, err := l.Pool().Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got, began := make(chan error, 1), time.Now()
	go func() { got <- query(t, r, "t0") }()
	for time.Since(began) < 5*time.Millisecond || r.Stat().Leases() < 2 && time.Since(began) < pgtest.Patience {
		runtime.Gosched() // no ticker: it would be late
	}
	conn.Release()
	took = time.Since(began)
	if err := pgtest.Receive(t, "the second query", got); err != nil {
		t.Error(err)
	}
	return pgStat(t, r).DialCount(), took
}
