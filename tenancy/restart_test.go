package tenancy_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// A server that crashes under load, again and again, is in use again soon after each start; the process is the same all
// the time. Where each connection is pinged before its use, none that the crash broke is given to anybody.
func TestCrashOfTheServerIsOver2SecondsAfterItIsBack(t *testing.T) {
	const tenantCount, rate = 4, 200
	crashes := pgtest.Size(1, 20)
	c := newCluster(t, pgtest.ClusterConfig{Kept: true, Settings: map[string]string{"fsync": "off"}})
	for _, always := range []bool{false, true} {
		dir, base := c.tenants(t, tenantCount)
		if always {
			base.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return true }
		}
		r := resolver(t, tenancy.Config{Directory: dir, Base: base})
		defer closeNow(t, r)
		var sum recovery
		for range crashes {
			sum.add(c.crash(t, r, tenantCount, rate))
		}
		if sum.last > 5*time.Second { // 2 s are promised; this machine may be busy
			t.Errorf("queries fail %v after the server is back", sum.last)
		}
		if sum.stale > sum.open || always && sum.stale > 0 {
			t.Errorf("%d broken connections were given out, %d were open", sum.stale, sum.open)
		}
		pgtest.Figure(t, "R10", "%d crashes under %d queries/s, each connection pinged before its use: %v; at most %v down; "+
			"the first query is served at most %v after the start, the last that fails at most %v after it; broken connections "+
			"given out: %d of %d; %d served, %d failed",
			crashes, rate, always, sum.down.Round(time.Millisecond), sum.first.Round(time.Millisecond),
			sum.last.Round(time.Millisecond),
			sum.stale, sum.open, sum.served, sum.failed)
	}
}

// recovery is what a crash cost.
type recovery struct {
	down           time.Duration // from the end to the start
	first, last    time.Duration // after the start: the first query served, the last one failed
	open           int64         // connections at the crash
	stale          int64         // queries that failed on a connection that the crash had broken
	served, failed int64
}

func (r *recovery) add(one recovery) {
	r.down, r.first, r.last = max(r.down, one.down), max(r.first, one.first), max(r.last, one.last)
	r.open, r.stale = r.open+one.open, r.stale+one.stale
	r.served, r.failed = r.served+one.served, r.failed+one.failed
}

// crash stops the server under load and starts it again.
func (c *cluster) crash(t *testing.T, r *tenancy.Resolver, tenantCount, rate int) (sum recovery) {
	t.Helper()
	ask := func(id tenancy.ID) error { return query(t, r, id) }
	for i := range tenantCount {
		if err := ask(nth(i)); err != nil {
			t.Fatal(err)
		}
	}
	sum.open = int64(pgStat(t, r).OpenConns())
	stop := traffic(t, rate, tenantCount, ask)
	wait(t, pgtest.Size(200*time.Millisecond, time.Second))
	gone := time.Now()
	if err := c.Crash(); err != nil {
		t.Fatal(err)
	}
	back := time.Now()
	sum.down = back.Sub(gone)
	eventually(t, "served again", func() bool { return ask("t0") == nil })
	wait(t, pgtest.Size(time.Second, 2500*time.Millisecond))
	sum.first = time.Hour
	for _, o := range stop() {
		switch {
		case o.err == nil:
			sum.served++
			if o.ended.After(back) {
				sum.first = min(sum.first, o.ended.Sub(back))
			}
			continue
		case o.begun.After(back):
			sum.last = max(sum.last, o.ended.Sub(back))
			if !errors.Is(o.err, tenancy.ErrServerDown) {
				sum.stale++
			}
		case o.ended.Before(gone):
			t.Errorf("before the crash: %v", o.err)
		}
		sum.failed++
	}
	return sum
}

func wait(t *testing.T, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	}
}
