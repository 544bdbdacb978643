package tenancy_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

func moved(id tenancy.ID, epoch int64, host string) tenancy.Tenant {
	rec := tenant(id, epoch)
	rec.Endpoint.Host = host
	return rec
}

func TestInvalidateReplacesOlderPoolsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := newTenants("acme")
		r := resolver(t, tenancy.Config{Directory: dir, TTL: -1})
		defer closeNow(t, r)
		old := acquire(t, r, "acme")
		r.Invalidate("acme", 1) // that is known already
		same := acquire(t, r, "acme")
		if same.Pool() != old.Pool() {
			t.Error("a record that is not older was dropped")
		}
		dir.put(moved("acme", 2, "10.0.0.2"))
		r.Invalidate("acme", 2)
		l := acquire(t, r, "acme")
		if l.Tenant().Epoch != 2 || l.Pool().Config().ConnConfig.Host != "10.0.0.2" {
			t.Errorf("leased %+v", l.Tenant())
		}
		if !open(t, old.Pool()) || old.Tenant().Epoch != 1 {
			t.Error("the old pool was closed under its holder")
		}
		r.Invalidate("acme", 0) // everything
		again := acquire(t, r, "acme")
		if dir.asked("acme") != 3 || again.Pool() != l.Pool() {
			t.Errorf("epoch 0: %d look-ups; the pool must stay, as its target is the same", dir.asked("acme"))
		}
		for _, l := range []*tenancy.Lease{old, same, l, again} {
			l.Release()
		}
		if n := r.Stat().EvictCount(tenancy.CauseChanged); n != 1 {
			t.Errorf("%d changed", n)
		}
	})
}

func TestInvalidateForgetsThatATenantIsUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := newTenants()
		r := resolver(t, tenancy.Config{Directory: dir, NotFoundTTL: time.Hour})
		defer closeNow(t, r)
		_, err := r.Acquire(t.Context(), "acme")
		wantErr(t, err, tenancy.ErrNotFound)
		dir.put(tenant("acme", 1))
		r.Invalidate("acme", 1)
		touch(t, r, "acme")
	})
}

// A look-up that began before the change must not bring the old record back, with any result.
func TestInvalidateWinsOverALookUpInFlight(t *testing.T) {
	for name, epoch := range map[string]int64{"by epoch": 2, "by epoch 0": 0} {
		for was, before := range map[string]*tenancy.Tenant{
			"active": new(moved("acme", 1, "10.0.0.1")), "unknown": nil,
			"suspended": {ID: "acme", State: tenancy.Suspended, Epoch: 1},
		} {
			t.Run(name+" "+was, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					dir := newTenants()
					if before != nil {
						dir.put(*before)
					}
					release := make(chan struct{})
					dir.hook(func(context.Context, tenancy.ID) error { <-release; return nil })
					r := resolver(t, tenancy.Config{Directory: dir})
					defer closeNow(t, r)
					got := acquiring(t, r, "acme")
					synctest.Wait()
					dir.put(moved("acme", 2, "10.0.0.2"))
					r.Invalidate("acme", epoch)
					close(release)
					l := await(t, got)
					if l.Tenant().Endpoint.Host != "10.0.0.2" || dir.asked("acme") != 2 {
						t.Errorf("leased %+v after %d look-ups", l.Tenant(), dir.asked("acme"))
					}
					l.Release()
				})
			})
		}
	}
}

func TestInvalidateWinsOverAnOpeningThatWaitsForASlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := newTenants("a", "acme")
		var j journal
		r := resolver(t, tenancy.Config{
			Directory: dir, MaxPools: 1, CapacityWait: time.Minute, DrainTimeout: -1, Observer: j.observer(),
		})
		defer closeNow(t, r)
		held := acquire(t, r, "a")
		got := acquiring(t, r, "acme")
		synctest.Wait()
		dir.put(moved("acme", 2, "10.0.0.2"))
		r.Invalidate("acme", 2)
		held.Release()
		l := await(t, got)
		if l.Tenant().Epoch != 2 {
			t.Errorf("leased %+v", l.Tenant())
		}
		l.Release()
	})
}

func TestRecordOlderThanAnnouncedIsNeverLeased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := newTenants("acme")
		release := make(chan struct{})
		dir.hook(func(context.Context, tenancy.ID) error { <-release; return nil })
		r := resolver(t, tenancy.Config{Directory: dir})
		defer closeNow(t, r)
		got := make(chan error)
		go func() {
			_, err := r.Acquire(t.Context(), "acme")
			got <- err
		}()
		synctest.Wait()
		r.Invalidate("acme", 9) // and the directory, a replica, never catches up
		close(release)
		if err := <-got; err == nil || dir.asked("acme") != 4 {
			t.Errorf("error %v after %d look-ups", err, dir.asked("acme"))
		}
		if n := r.Stat().OpenCount(); n != 0 {
			t.Errorf("%d pools opened", n)
		}
	})
}

func TestEvictedAndLoadedAnewInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		dir := newTenants("acme")
		r := resolver(t, tenancy.Config{Directory: dir, Observer: j.observer()})
		touch(t, r, "acme")
		suspended := tenant("acme", 2)
		suspended.State = tenancy.Suspended
		dir.put(suspended)
		time.Sleep(time.Minute) // a missed invalidation is noticed after the TTL
		_, err := r.Acquire(t.Context(), "acme")
		wantErr(t, err, tenancy.ErrSuspended)
		synctest.Wait()
		dir.put(tenant("acme", 3))
		touch(t, r, "acme")
		closeNow(t, r)
		want := []string{
			"opened acme", "evicted acme: changed", "closed acme: changed after 0s",
			"opened acme", "evicted acme: closed", "closed acme: closed after 0s",
		}
		if diff := cmp.Diff(want, j.read()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestInvalidateWinsOverAPoolJustMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := newTenants("acme")
		var r *tenancy.Resolver
		r = resolver(t, tenancy.Config{Directory: dir, Observer: tenancy.Observer{PoolOpened: func(id tenancy.ID) {
			if dir.asked(id) == 1 {
				dir.put(moved(id, 2, "10.0.0.2"))
				r.Invalidate(id, 2)
			}
		}}})
		defer closeNow(t, r)
		l := acquire(t, r, "acme")
		if l.Tenant().Epoch != 2 {
			t.Errorf("leased %+v", l.Tenant())
		}
		l.Release()
	})
}
