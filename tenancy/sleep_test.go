package tenancy_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

func TestPoolWithoutConnectionSleepsUntilTheNextAcquire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const tenants = 100
		ids := make([]tenancy.ID, tenants)
		for i := range ids {
			ids[i] = tenancy.ID(fmt.Sprintf("t%d", i))
		}
		dir := newTenants(ids...)
		r := resolver(t, tenancy.Config{Directory: dir, TTL: -1, IdleTimeout: -1})
		defer closeNow(t, r)
		goroutines := runtime.NumGoroutine()
		pools := map[tenancy.ID]*pgxpool.Pool{}
		for _, id := range ids {
			l := acquire(t, r, id)
			pools[id] = l.Pool()
			l.Release()
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if s := r.Stat(); s.SleepingPools() != tenants || s.OpenPools() != tenants || s.DrainingPools() != 0 {
			t.Errorf("%d sleep, %d open, %d draining", s.SleepingPools(), s.OpenPools(), s.DrainingPools())
		}
		if n := runtime.NumGoroutine() - goroutines; n > 0 {
			t.Errorf("%d goroutines for sleeping pools", n)
		}
		for _, id := range ids {
			l := acquire(t, r, id)
			if open(t, pools[id]) || !open(t, l.Pool()) || l.Tenant().ID != id || dir.asked(id) != 1 {
				t.Errorf("tenant %q: old open %v, new open %v, %d look-ups", id, open(t, pools[id]), open(t, l.Pool()),
					dir.asked(id))
			}
			l.Release()
		}
		if s := r.Stat(); s.SleepingPools() != 0 || s.WakeCount() != tenants || s.OpenCount() != tenants {
			t.Errorf("%d sleep, %d woken, %d opened", s.SleepingPools(), s.WakeCount(), s.OpenCount())
		}
	})
}

func TestLeasedPoolDoesNotSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := resolver(t, tenancy.Config{Directory: newTenants("acme")})
		defer closeNow(t, r)
		acquire(t, r, "acme").Release() // from here on it may sleep, were it not leased again
		first := acquire(t, r, "acme")
		second := acquire(t, r, "acme")
		first.Release()
		time.Sleep(time.Minute - time.Second)
		if !open(t, second.Pool()) || r.Stat().SleepingPools() != 0 {
			t.Error("a leased pool sleeps")
		}
		second.Release()
	})
}

func TestPoolWithAConnectionSleepsWhenItIsClosed(t *testing.T) {
	t.Parallel()
	dir, base, _ := crowd(t, 1)
	base.MaxConnIdleTime, base.HealthCheckPeriod = 500*time.Millisecond, 100*time.Millisecond
	r := resolver(t, tenancy.Config{Directory: dir, Base: base, TTL: 100 * time.Millisecond})
	defer closeNow(t, r)
	if err := query(t, r, "t0"); err != nil {
		t.Fatal(err)
	}
	for pgStat(t, r).OpenConns() > 0 {
		if s := r.Stat(); s.SleepingPools() > 0 && pgStat(t, r).OpenConns() > 0 {
			t.Fatal("a pool with a connection sleeps")
		}
		runtime.Gosched()
	}
	eventually(t, "the pool sleeps", func() bool { return r.Stat().SleepingPools() == 1 })
	if err := query(t, r, "t0"); err != nil {
		t.Error(err)
	}
}

func TestCallersOfASleepingTenantShareOnePool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := newTenants("acme")
		r := resolver(t, tenancy.Config{Directory: dir})
		defer closeNow(t, r)
		acquire(t, r, "acme").Release()
		time.Sleep(5 * time.Second)
		var wg sync.WaitGroup
		leases := make([]*tenancy.Lease, 1000)
		for i := range leases {
			wg.Go(func() { leases[i], _ = r.Acquire(t.Context(), "acme") })
		}
		wg.Wait()
		for _, l := range leases {
			if l == nil || l.Pool() != leases[0].Pool() {
				t.Fatal("not every caller got the one pool")
			}
			l.Release()
		}
		if s := r.Stat(); s.WakeCount() != 1 || s.Leases() != 0 {
			t.Errorf("woken %d times, %d leases", s.WakeCount(), s.Leases())
		}
	})
}

// A tenant that is evicted while it wakes must not leave an unclosed pool: the bubble would not end.
func TestEvictionOfOneThatWakesLeavesNoPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := resolver(t, tenancy.Config{Directory: newTenants("acme"), DrainTimeout: -1})
		defer closeNow(t, r)
		for range 2000 {
			acquire(t, r, "acme").Release()
			time.Sleep(3 * time.Second)
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() { acquire(t, r, "acme").Release() })
			}
			wg.Go(func() { r.Evict("acme") })
			wg.Wait()
		}
	})
}

// A record that changes while its pool sleeps must not be served from the old record.
func TestChangedTenantIsNotWoken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := newTenants("acme")
		r := resolver(t, tenancy.Config{Directory: dir})
		defer closeNow(t, r)
		acquire(t, r, "acme").Release()
		time.Sleep(5 * time.Second)
		dir.put(tenancy.Tenant{ID: "acme", State: tenancy.Suspended, Epoch: 2})
		r.Invalidate("acme", 2)
		_, err := r.Acquire(t.Context(), "acme")
		wantErr(t, err, tenancy.ErrSuspended)
		synctest.Wait()
		if s := r.Stat(); s.SleepingPools() != 0 || s.OpenPools() != 0 || s.DrainingPools() != 0 {
			t.Errorf("%d sleep, %d open, %d draining", s.SleepingPools(), s.OpenPools(), s.DrainingPools())
		}
	})
}

func TestServerThatIsDownIsRememberedWhileItsTenantsSleepAndAfterTheyAreEvicted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, n := bulkheads(t, tenancy.Config{})
		defer closeNow(t, r)
		attempts(t, r, "s", 10)
		before := n.dialled(sick)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if s := r.Stat(); s.SleepingPools() != s.OpenPools() {
			t.Fatalf("%d of %d sleep", s.SleepingPools(), s.OpenPools())
		}
		if down, _, _ := attempts(t, r, "s", 10); down < 9 {
			t.Errorf("%d of 10 were told at once that the server is down", down)
		}
		for i := range 10 {
			r.Evict(tenancy.ID(fmt.Sprint("s", i)))
		}
		synctest.Wait()
		if down, _, _ := attempts(t, r, "s", 10); down != 10 {
			t.Errorf("%d of 10 that were evicted were told at once that the server is down", down)
		}
		if tried := n.dialled(sick) - before; tried > 1 {
			t.Errorf("%d dials beside the one try", tried)
		}
	})
}

// Pools fall asleep under callers that wake, lease, evict and invalidate them: no leased pool is closed, no lease lost.
func TestSleepBreaksNoLease(t *testing.T) {
	t.Parallel()
	const tenants, workers, rounds = 20, 8, 2000
	ids := make([]tenancy.ID, tenants)
	for i := range ids {
		ids[i] = tenancy.ID(fmt.Sprintf("t%d", i))
	}
	r := resolver(t, tenancy.Config{
		Directory: newTenants(ids...), MaxPools: tenants / 2, CapacityWait: time.Minute, TTL: 10 * time.Millisecond,
	})
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(3, uint64(w)))
			for range rounds {
				id := ids[rnd.IntN(tenants)]
				if rnd.IntN(50) == 0 {
					r.Evict(id)
				}
				err := r.AcquireFunc(t.Context(), id, func(ctx context.Context, pool *pgxpool.Pool) error { return pool.Ping(ctx) })
				if !errors.Is(err, errNoDial) {
					t.Errorf("leased pool: %v", err)
				}
				if rnd.IntN(20) == 0 {
					<-time.After(time.Duration(rnd.IntN(3000)) * time.Microsecond)
				}
			}
		})
	}
	wg.Wait()
	s := r.Stat()
	if s.Leases() != 0 || s.SleepingPools() > s.OpenPools() || s.SleepingPools() < 0 || s.WakeCount() == 0 {
		t.Errorf("%d leases, %d of %d sleep, %d woken", s.Leases(), s.SleepingPools(), s.OpenPools(), s.WakeCount())
	}
	closeNow(t, r)
	if s := r.Stat(); s.SleepingPools() != 0 || s.OpenPools() != 0 {
		t.Errorf("%d sleep and %d are open after Close", s.SleepingPools(), s.OpenPools())
	}
	t.Logf("%d woken, %d opened", s.WakeCount(), s.OpenCount())
}
