package connbudget_test

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgtenancy/pgtenancy/internal/connbudget"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
)

// The count behind fair share, on the queue alone and without a clock's help: however many connections a busy tenant
// asks for, a tenant that has none is overtaken by no more grants than there are others like it.
func TestTenantWithoutConnectionWaitsForFewGrants(t *testing.T) {
	const limit, light, hungry = 4, 10, 200
	requests, worst := pgtest.Size(100, 5_000), int64(0)
	synctest.Test(t, func(t *testing.T) {
		b := budget(limit)
		var grants, most atomic.Int64
		// use takes a permit for a and returns how many others were given meanwhile.
		use := func(a *connbudget.Account, rnd *rand.Rand) int64 {
			before := grants.Load()
			p := a.NewPermit(t.Context())
			if err := p.Take(t.Context(), 24*time.Hour); err != nil {
				t.Error(err)
			}
			others := grants.Add(1) - before - 1
			p.ConnectEnded()
			time.Sleep(time.Millisecond + time.Duration(rnd.IntN(4000))*time.Microsecond)
			p.GiveBack()
			return others
		}
		var lights, busy sync.WaitGroup
		done := make(chan struct{})
		greedy := account(b)
		for i := range hungry {
			rnd := rand.New(rand.NewPCG(1, uint64(i)))
			busy.Go(func() {
				for {
					use(greedy, rnd)
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
			rnd, a := rand.New(rand.NewPCG(2, uint64(i))), account(b)
			lights.Go(func() {
				for range requests {
					others := use(a, rnd)
					for seen := most.Load(); others > seen && !most.CompareAndSwap(seen, others); seen = most.Load() {
					}
					time.Sleep(time.Duration(rnd.IntN(20_000)) * time.Microsecond)
				}
			})
		}
		lights.Wait()
		close(done)
		busy.Wait()
		if s := b.Stat(); s.Held != 0 || s.Waiting != 0 {
			t.Errorf("%+v", s)
		}
		worst = most.Load()
	})
	// The nine others, and the busy tenant's first ones.
	if worst > 2*light {
		t.Errorf("a tenant without a connection was overtaken by %d grants", worst)
	}
	pgtest.Figure(t, "promise 4", "%d requests of each of %d light tenants, %d permits, a busy tenant asking %d times at "+
		"once: at most %d grants to others while one waits",
		requests, light, limit, hungry, worst)
}
