package tenancy_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// TestStorm leases, evicts and invalidates at random, on pools that are never dialled, and checks what must always
// hold: no more than MaxPools at any time, no leased pool closed, nothing left over, no caller stuck.
func TestStorm(t *testing.T) {
	t.Parallel()
	const tenantCount, maxPools, workers, rounds = 40, 6, 12, 1500
	ids := make([]tenancy.ID, tenantCount)
	for i := range ids {
		ids[i] = tenancy.ID(fmt.Sprintf("t%d", i))
	}
	dir := newTenants(ids...)
	var opened atomic.Int64
	r := resolver(t, tenancy.Config{
		Directory: dir, MaxPools: maxPools, CapacityWait: time.Minute, IdleTimeout: 5 * time.Millisecond,
		TTL: 10 * time.Millisecond,
		Observer: tenancy.Observer{
			PoolOpened: func(tenancy.ID) { opened.Add(1) },
			PoolClosed: func(tenancy.ID, tenancy.Cause, time.Duration) { opened.Add(-1) },
		},
	})
	var served, left atomic.Int64
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(1, uint64(w)))
			for range rounds {
				id := ids[rnd.IntN(tenantCount)]
				switch rnd.IntN(20) {
				case 0:
					r.Evict(id)
				case 1:
					r.Invalidate(id, 0)
				}
				if s := r.Stat(); s.OpenPools()+s.DrainingPools() > maxPools {
					t.Errorf("%d open and %d draining pools", s.OpenPools(), s.DrainingPools())
				}
				ctx, cancel := context.WithCancel(t.Context())
				if rnd.IntN(4) == 0 {
					time.AfterFunc(time.Duration(rnd.IntN(200))*time.Microsecond, cancel)
				}
				l, err := r.Acquire(ctx, id)
				switch {
				case errors.Is(err, context.Canceled):
					left.Add(1)
				case err != nil:
					t.Errorf("Acquire: %v", err)
				default:
					if err := l.Pool().Ping(t.Context()); !errors.Is(err, errNoDial) {
						t.Errorf("leased pool: %v", err)
					}
					served.Add(1)
					l.Release()
				}
				cancel()
			}
		})
	}
	pgtest.Wait(t, "every goroutine ends", wg.Wait)
	s := r.Stat()
	if s.Leases() != 0 || s.WaitingOpeners() != 0 {
		t.Errorf("%d leases and %d waiting at rest", s.Leases(), s.WaitingOpeners())
	}
	closeNow(t, r)
	if n := opened.Load(); n != 0 {
		t.Errorf("%d pools opened and not closed", n)
	}
	t.Logf("%d served, %d left, %d pools opened, evicted: idle %d, capacity %d, explicit %d, changed %d",
		served.Load(), left.Load(), s.OpenCount(), s.EvictCount(tenancy.CauseIdle), s.EvictCount(tenancy.CauseCapacity),
		s.EvictCount(tenancy.CauseExplicit), s.EvictCount(tenancy.CauseChanged))
}
