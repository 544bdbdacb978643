package tenancy_test

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// The count behind fair share, on the queue alone and without a clock's help: however many connections a busy tenant
// asks for, a tenant that has none is overtaken by no more grants than there are others like it.
func TestTenantWithoutConnectionWaitsForFewGrants(t *testing.T) {
	const limit, light, hungry = 4, 10, 200
	requests, worst := pgtest.Size(100, 5_000), int64(0)
	synctest.Test(t, func(t *testing.T) {
		b := tenancy.NewBudget(limit)
		var grants, most atomic.Int64
		// use takes a permit and returns how many others were given meanwhile.
		use := func(take func() error, give func(), rnd *rand.Rand) int64 {
			before := grants.Load()
			if err := take(); err != nil {
				t.Error(err)
			}
			others := grants.Add(1) - before - 1
			b.Connected()
			time.Sleep(time.Millisecond + time.Duration(rnd.IntN(4000))*time.Microsecond)
			give()
			return others
		}
		var lights, busy sync.WaitGroup
		done := make(chan struct{})
		greedy := b.Account()
		for i := range hungry {
			rnd := rand.New(rand.NewPCG(1, uint64(i)))
			busy.Go(func() {
				for {
					use(func() error { return b.Take(t.Context(), greedy, 24*time.Hour) }, func() { b.Give(greedy) }, rnd)
					select {
					case <-done:
						return
					default:
					}
				}
			})
		}
		synctest.Wait()
		for i := range light {
			rnd, a := rand.New(rand.NewPCG(2, uint64(i))), b.Account()
			lights.Go(func() {
				for range requests {
					others := use(func() error { return b.Take(t.Context(), a, 24*time.Hour) }, func() { b.Give(a) }, rnd)
					for seen := most.Load(); others > seen && !most.CompareAndSwap(seen, others); seen = most.Load() {
					}
					time.Sleep(time.Duration(rnd.IntN(20_000)) * time.Microsecond)
				}
			})
		}
		lights.Wait()
		close(done)
		busy.Wait()
		if s := b.Stat(); s.OpenConns() != 0 || s.WaitingDials() != 0 {
			t.Errorf("%+v", s)
		}
		worst = most.Load()
	})
	// The nine others, and those of the busy one that are its first.
	if worst > 2*light {
		t.Errorf("a tenant without a connection was overtaken by %d grants", worst)
	}
	pgtest.Figure(t, "promise 4", "%d requests of each of %d light tenants, %d permits, a busy tenant asking %d times at once: at most %d grants to others while one waits",
		requests, light, limit, hungry, worst)
}
