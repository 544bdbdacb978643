package tenancy_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Many more tenants than connections: every query is served, and the server itself never counts more connections than
// the budget.
func TestConnectionsStayWithinTheBudget(t *testing.T) {
	const tenantCount, budget, workers, queries = 200, 40, 32, 10_000
	dir, base, names := crowd(t, tenantCount)
	r := resolver(t, tenancy.Config{Directory: dir, Base: base, MaxConns: budget})
	stop := watch(t, names, func() int { return budget })
	var asked, failed atomic.Int64
	var took latencies
	var users sync.WaitGroup
	start := time.Now()
	for w := range workers {
		users.Go(func() {
			next := zipf(w, tenantCount)
			for asked.Add(1) <= queries {
				begun := time.Now()
				if err := query(t, r, next()); err != nil {
					failed.Add(1)
					t.Errorf("query: %v", err)
				}
				took.add(time.Since(begun))
			}
		})
	}
	users.Wait()
	rate := queries / time.Since(start).Seconds()
	seen := stop()
	s := pgStat(t, r)
	t.Logf("%d failed, %d samples, %d over, at most %d connections; %.0f queries/s, p50 %v, p99 %v, max %v; "+
		"for each 1,000: %d dials, %d steals, %d yields", failed.Load(), seen.samples, seen.over, seen.most, rate,
		took.at(0.5), took.at(0.99), took.at(1), s.DialCount()*1000/queries, s.StealCount()*1000/queries, s.YieldCount()*1000/queries)
	if s.StealCount() == 0 || s.OpenConns() > budget || s.MaxConns() != budget {
		t.Errorf("%+v", s)
	}
	closeNow(t, r)
	wantNoPermits(t, r)
}

// A tenant with more work than the server has connections does not keep the others from theirs.
func TestGreedyTenantStarvesNobody(t *testing.T) {
	const budget, light, requests = 20, 12, 150
	dir, base, names := crowd(t, light+1)
	r := resolver(t, tenancy.Config{Directory: dir, Base: base, MaxConns: budget, MaxConnsPerTenant: budget})
	stop := watch(t, names, func() int { return budget })

	serve := func() *latencies {
		var took latencies
		var users sync.WaitGroup
		for i := range light {
			users.Go(func() {
				ticker := time.NewTicker(5 * time.Millisecond)
				defer ticker.Stop()
				for range requests {
					begun := time.Now()
					if err := query(t, r, tenancy.ID(fmt.Sprintf("t%d", i+1))); err != nil {
						t.Errorf("light tenant: %v", err)
					}
					took.add(time.Since(begun))
					<-ticker.C
				}
			})
		}
		users.Wait()
		return &took
	}
	alone := serve()
	before := pgStat(t, r)
	var greedy sync.WaitGroup
	var served atomic.Int64
	done := make(chan struct{})
	for range 64 {
		greedy.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := query(t, r, "t0"); err != nil {
					t.Errorf("greedy tenant: %v", err)
				}
				served.Add(1)
			}
		})
	}
	eventually(t, "crowded", func() bool { return pgStat(t, r).WaitingDials() > 0 })
	beside := serve()
	close(done)
	greedy.Wait()
	stop()
	s := pgStat(t, r)
	t.Logf("light tenants alone: p50 %v, p99 %v; beside a greedy one: p50 %v, p99 %v, max %v; greedy served %d; "+
		"%d dials, %d steals, %d yields meanwhile", alone.at(0.5), alone.at(0.99), beside.at(0.5), beside.at(0.99), beside.at(1),
		served.Load(), s.DialCount()-before.DialCount(), s.StealCount()-before.StealCount(), s.YieldCount()-before.YieldCount())
	if served.Load() == 0 {
		t.Error("the greedy tenant was served nothing")
	}
	closeNow(t, r)
	wantNoPermits(t, r)
}

// A connection goes to a tenant that has none and not to the next user of a tenant that has two.
func TestTenantBeyondItsShareYields(t *testing.T) {
	t.Parallel()
	dir, base, _ := crowd(t, 2)
	r := resolver(t, tenancy.Config{Directory: dir, Base: base, MaxConns: 2, MaxConnsPerTenant: 2})
	defer closeNow(t, r)
	l := acquire(t, r, "t0")
	defer l.Release()
	first, err := l.Pool().Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	second, err := l.Pool().Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var others sync.WaitGroup
	served := make(chan struct{})
	for range 4 {
		others.Go(func() {
			conn, err := l.Pool().Acquire(t.Context())
			if err != nil {
				t.Errorf("t0: %v", err)
				return
			}
			<-served // without an end, were it not for t1
			conn.Release()
		})
	}
	got := make(chan error, 1)
	go func() { got <- query(t, r, "t1") }()
	eventually(t, "waiting", func() bool { return pgStat(t, r).WaitingDials() > 0 })
	first.Release()
	if err := <-got; err != nil {
		t.Errorf("t1: %v", err)
	}
	close(served)
	second.Release()
	others.Wait()
	if s := pgStat(t, r); s.YieldCount() == 0 || s.OpenConns() > 2 {
		t.Errorf("%+v", s)
	}
}
