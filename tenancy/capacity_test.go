package tenancy_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

func TestLeastRecentlyUsedPoolMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := resolver(t, tenancy.Config{
			Directory: newTenants("a", "b", "c", "d"), MaxPools: 3, Observer: j.observer(),
		})
		defer closeNow(t, r)
		held := acquire(t, r, "a") // oldest, but in use
		touch(t, r, "b", "c", "b")
		touch(t, r, "d")
		want := []string{"opened a", "opened b", "opened c", "evicted c: capacity", "closed c: capacity after 0s", "opened d"}
		if diff := cmp.Diff(want, j.read()); diff != "" {
			t.Error(diff)
		}
		touch(t, r, "c", "b", "d", "c") // and again and again
		held.Release()
	})
}

func TestUnknownTenantsEvictNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := newTenants("a", "b")
		asleep := tenant("asleep", 1)
		asleep.State = tenancy.Suspended
		dir.put(asleep)
		r := resolver(t, tenancy.Config{Directory: dir, MaxPools: 2, TTL: -1})
		defer closeNow(t, r)
		touch(t, r, "a", "b")
		for i := range 1000 {
			_, err := r.Acquire(t.Context(), tenancy.ID(fmt.Sprintf("ghost-%d", i)))
			wantErr(t, err, tenancy.ErrNotFound)
		}
		_, err := r.Acquire(t.Context(), "asleep")
		wantErr(t, err, tenancy.ErrSuspended)
		touch(t, r, "a", "b")
		if s := r.Stat(); s.OpenCount() != 2 || s.EvictCount(tenancy.CauseCapacity) != 0 {
			t.Errorf("%d opened, %d evicted", s.OpenCount(), s.EvictCount(tenancy.CauseCapacity))
		}
	})
}

func TestAtCapacityAfterCapacityWait(t *testing.T) {
	for _, c := range []struct{ config, want time.Duration }{{0, 5 * time.Second}, {time.Minute, time.Minute}, {-1, 0}} {
		synctest.Test(t, func(t *testing.T) {
			var j journal
			r := resolver(t, tenancy.Config{
				Directory: newTenants("a", "b"), MaxPools: 1, CapacityWait: c.config, Observer: j.observer(),
			})
			defer closeNow(t, r)
			held := acquire(t, r, "a")
			start := time.Now()
			_, err := r.Acquire(t.Context(), "b")
			wantErr(t, err, tenancy.ErrAtCapacity)
			synctest.Wait() // the resolver calls the observer after the caller
			if took := time.Since(start); took != c.want {
				t.Errorf("CapacityWait %v: took %v, want %v", c.config, took, c.want)
			}
			held.Release()
			touch(t, r, "b") // also with a negative wait: a is idle
			if got := j.read(); len(got) < 2 || got[1] != `failed b: tenancy: at capacity: open pool for tenant "b"` {
				t.Errorf("journal %q", got)
			}
		})
	}
}

func TestReleasedPoolGoesToWhoWaitedLongest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := resolver(t, tenancy.Config{
			Directory: newTenants("a", "b", "w0", "w1", "w2"), MaxPools: 2, CapacityWait: time.Hour,
		})
		defer closeNow(t, r)
		a, b := acquire(t, r, "a"), acquire(t, r, "b")
		var got [3]<-chan *tenancy.Lease
		for i := range got {
			got[i] = acquiring(t, r, tenancy.ID(fmt.Sprintf("w%d", i)))
			synctest.Wait()
		}
		if n := r.Stat().WaitingOpeners(); n != 3 {
			t.Fatalf("%d wait", n)
		}
		give := []*tenancy.Lease{a, b}
		for i := range 3 {
			give[0].Release()
			synctest.Wait()
			for later := i + 1; later < 3; later++ {
				if len(got[later]) != 0 {
					t.Fatalf("w%d was served before w%d", later, i)
				}
			}
			give = append(give[1:], await(t, got[i]))
			if n := r.Stat().WaitingOpeners(); n != 2-i {
				t.Errorf("%d wait, want %d", n, 2-i)
			}
		}
		for _, l := range give {
			l.Release()
		}
	})
}

func TestTenantThatChangedInTheQueueKeepsItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := newTenants("a", "b", "c")
		r := resolver(t, tenancy.Config{Directory: dir, MaxPools: 1})
		defer closeNow(t, r)
		held := acquire(t, r, "a")
		var order []string
		var callers sync.WaitGroup
		for _, id := range []tenancy.ID{"b", "c"} {
			callers.Go(func() {
				lease, err := r.Acquire(t.Context(), id)
				if err != nil {
					t.Error(err)
					return
				}
				order = append(order, string(id)) // one at a time: there is one pool
				lease.Release()
			})
			synctest.Wait()
		}
		dir.put(tenant("b", 2))
		r.Invalidate("b", 2)
		held.Release()
		callers.Wait()
		if diff := cmp.Diff([]string{"b", "c"}, order); diff != "" {
			t.Error(diff)
		}
	})
}

func TestDrainingPoolCountsUntilItIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := resolver(t, tenancy.Config{
			Directory: newTenants("a"), MaxPools: 1, CapacityWait: time.Minute, DrainTimeout: 30 * time.Second,
		})
		defer closeNow(t, r)
		held := acquire(t, r, "a")
		r.Evict("a")
		start := time.Now()
		touch(t, r, "a")
		if took := time.Since(start); took != 30*time.Second {
			t.Errorf("got a second pool after %v, beside a draining one", took)
		}
		held.Release()
	})
}

func TestOpeningThatNobodyWaitsForEvictsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := resolver(t, tenancy.Config{
			Directory: newTenants("a", "b", "c"), MaxPools: 1, CapacityWait: time.Hour, TTL: -1,
		})
		defer closeNow(t, r)
		held := acquire(t, r, "a")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := r.Acquire(ctx, "b")
		wantErr(t, err, context.DeadlineExceeded)
		synctest.Wait()
		if s := r.Stat(); s.WaitingOpeners() != 0 || s.Openings() != 0 {
			t.Errorf("%d wait, %d openings", s.WaitingOpeners(), s.Openings())
		}
		held.Release()
		touch(t, r, "a")
		if n := r.Stat().OpenCount(); n != 1 {
			t.Errorf("%d opened: a was evicted without need", n)
		}
		touch(t, r, "b")
	})
}

func TestBadEndpointGivesItsSlotBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := newTenants("good")
		dir.put(tenancy.Tenant{ID: "bad", State: tenancy.Active})
		r := resolver(t, tenancy.Config{Directory: dir, MaxPools: 1})
		defer closeNow(t, r)
		_, err := r.Acquire(t.Context(), "bad")
		if want := `tenancy: open pool for tenant "bad": endpoint: Database: required`; err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
		touch(t, r, "good")
	})
}
