package tenancy_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Many more tenants than connections: every query is served, and the server itself never counts more connections than
// the budget.
func TestConnectionsStayWithinTheBudget(t *testing.T) {
	tenantCount, budget := pgtest.Size(40, 200), pgtest.Size(16, 40)
	workers, queries := pgtest.Size(12, 32), pgtest.Size[int64](400, 20_000)
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
	pgtest.Wait(t, "every user ends", users.Wait)
	rate := float64(queries) / time.Since(start).Seconds()
	seen := stop()
	s := pgStat(t, r)
	pgtest.Figure(t, "R2", "%d tenants, %d queries, %d failed; %d of %d samples over the budget of %d, at most %d "+
		"connections; %.0f queries/s, p50 %v, p99 %v, max %v; for each 1,000: %d dials, %d steals, %d preempted",
		tenantCount, queries, failed.Load(),
		seen.over, seen.samples, budget, seen.most, rate, took.at(0.5), took.at(0.99), took.at(1),
		s.DialCount()*1000/queries, s.StealCount()*1000/queries, s.PreemptCount()*1000/queries)
	if s.StealCount() == 0 || s.OpenConns() > budget || s.MaxConns() != budget {
		t.Errorf("%+v", s)
	}
	closeNow(t, r)
	wantNoPermits(t, r)
}

// A tenant with more work than the server has connections does not keep the others from theirs. The rounds with and
// without it take turns, so that what disturbs the machine for a while disturbs both. Their times are reported and not
// bounded: TestTenantWithoutConnectionWaitsForFewGrants counts.
func TestGreedyTenantStarvesNobody(t *testing.T) {
	budget, light := 20, 12
	rounds, requests := pgtest.Size(1, 7), pgtest.Size(30, 200)
	dir, base, names := crowd(t, light+1)
	r := resolver(t, tenancy.Config{Directory: dir, Base: base, MaxConns: budget, MaxConnsPerTenant: int32(budget)})
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
		pgtest.Wait(t, "every user ends", users.Wait)
		return &took
	}
	serve() // the first connections
	var ratios, alone, beside []float64
	var greedy, dials, steals, yields int64
	for range rounds {
		a := serve().at(0.99)
		end := hog(t, r)
		before := pgStat(t, r)
		b := serve().at(0.99)
		after := pgStat(t, r)
		dials += after.DialCount() - before.DialCount()
		steals += after.StealCount() - before.StealCount()
		yields += after.PreemptCount() - before.PreemptCount()
		greedy += end()
		alone, beside = append(alone, ms(a)), append(beside, ms(b))
		ratios = append(ratios, float64(b)/float64(a))
	}
	stop()
	if greedy == 0 {
		t.Error("the greedy tenant was served nothing")
	}
	pgtest.Figure(t, "promise 4", "%d light tenants, %d rounds: median p99 %.1f ms alone, %.1f ms beside a greedy one "+
		"(64 at once, %d connections), median ratio %.1f; the greedy one was served %d; %d dials, %d steals, %d yields "+
		"meanwhile",
		light, rounds, median(alone), median(beside), budget, median(ratios), greedy, dials, steals, yields)
	closeNow(t, r)
	wantNoPermits(t, r)
}

// hog has tenant t0 ask 64 times at once, without a pause, until end is called, which returns how often it was served.
// Its queries sleep on the server: they take connections, and not the processors that all share.
func hog(t *testing.T, r *tenancy.Resolver) (end func() int64) {
	t.Helper()
	var users sync.WaitGroup
	var served atomic.Int64
	done := make(chan struct{})
	for range 64 {
		users.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				err := r.AcquireFunc(t.Context(), "t0", func(ctx context.Context, pool *pgxpool.Pool) error {
					_, err := pool.Exec(ctx, "select pg_sleep(0.01)")
					return err
				})
				if err != nil {
					t.Errorf("greedy tenant: %v", err)
				}
				served.Add(1)
			}
		})
	}
	eventually(t, "served", func() bool { return served.Load() > 100 })
	return func() int64 {
		close(done)
		pgtest.Wait(t, "every user ends", users.Wait)
		return served.Load()
	}
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
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
	pgtest.Wait(t, "the others end", others.Wait)
	if s := pgStat(t, r); s.PreemptCount() == 0 || s.OpenConns() > 2 {
		t.Errorf("%+v", s)
	}
}
