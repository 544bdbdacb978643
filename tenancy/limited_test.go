package tenancy_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// A handler that never gives its connections back makes no query wait for ever, whether the queries come one after the
// other or all at once.
func TestQueryWaitsForItsTenantsConnectionsNoLongerThanBudgetWait(t *testing.T) {
	t.Parallel()
	dir, base := databases(t, 2)
	const most, rivals = 4, 20
	r := resolver(t, tenancy.Config{
		Directory: dir, Base: base, MaxConnsPerTenant: most, BudgetWait: 300 * time.Millisecond,
	})
	defer closeNow(t, r)
	l, other := acquire(t, r, "t0"), acquire(t, r, "t1")
	defer l.Release()
	defer other.Release()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var mu sync.Mutex // guards kept and refused
	var kept []*pgxpool.Conn
	var refused int
	var all sync.WaitGroup
	for range rivals {
		all.Go(func() {
			c, err := l.Pool().Acquire(ctx)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				kept = append(kept, c)
			case errors.Is(err, tenancy.ErrAtCapacity):
				refused++
			default:
				t.Errorf("Acquire: %v", err)
			}
		})
	}
	all.Wait()
	if len(kept) != most || refused != rivals-most {
		t.Errorf("%d connections, %d refused, want %d and %d", len(kept), refused, most, rivals-most)
	}
	_, err := l.Pool().Exec(ctx, "SELECT 1")
	wantErr(t, err, tenancy.ErrAtCapacity)
	const text = `tenancy: at capacity: all 4 connections of tenant "t0" are in use: is each one released?`
	if err.Error() != text {
		t.Errorf("error %q, want %q", err, text)
	}
	if n := r.Stat().Servers()[0].BudgetTimeoutCount(); n != rivals-most+1 {
		t.Errorf("%d refused by the figures", n)
	}
	if err := other.Pool().Ping(ctx); err != nil {
		t.Errorf("another tenant: %v", err)
	}
	waiting := make(chan error, 1)
	go func() {
		_, err := l.Pool().Exec(ctx, "SELECT 1")
		waiting <- err
	}()
	giveBack(kept)
	if err := <-waiting; err != nil {
		t.Errorf("after they were given back: %v", err)
	}
	short, stop := context.WithTimeout(t.Context(), 0)
	defer stop()
	_, err = l.Pool().Acquire(short)
	wantErr(t, err, context.DeadlineExceeded)
}
