package tenancy_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

var errDown = errors.New("directory down")

func down(context.Context, tenancy.ID) error { return errDown }

func TestRecordIsConfirmedAfterTTLAndItsPoolKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := newTenants("acme")
		r := resolver(t, tenancy.Config{Directory: dir})
		defer closeNow(t, r)
		l := acquire(t, r, "acme")
		time.Sleep(58 * time.Second)
		touch(t, r, "acme")
		if n := dir.asked("acme"); n != 1 {
			t.Errorf("%d look-ups within the TTL", n)
		}
		rec := tenant("acme", 1)
		rec.SchemaHash = "h2"
		dir.put(rec)
		time.Sleep(2 * time.Second) // never later than the TTL
		again := acquire(t, r, "acme")
		if dir.asked("acme") != 2 || again.Pool() != l.Pool() || l.Tenant().SchemaHash != "h2" {
			t.Errorf("%d look-ups, same pool %v, tenant %+v", dir.asked("acme"), again.Pool() == l.Pool(), l.Tenant())
		}
		l.Release()
		again.Release()
	})
}

func TestChangedEndpointIsNoticedAfterTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := newTenants("acme")
		r := resolver(t, tenancy.Config{Directory: dir})
		defer closeNow(t, r)
		l := acquire(t, r, "acme")
		dir.put(moved("acme", 1, "10.0.0.2")) // a directory without epochs
		time.Sleep(time.Minute)
		again := acquire(t, r, "acme")
		if again.Pool().Config().ConnConfig.Host != "10.0.0.2" || !open(t, l.Pool()) {
			t.Error("the new endpoint is not used, or the old pool was closed under its holder")
		}
		l.Release()
		again.Release()
	})
}

func TestNegativeTTLTrustsForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := newTenants("acme")
		r := resolver(t, tenancy.Config{Directory: dir, TTL: -1, IdleTimeout: -1})
		defer closeNow(t, r)
		touch(t, r, "acme")
		dir.hook(down)
		time.Sleep(24 * time.Hour)
		touch(t, r, "acme")
	})
}

func TestKnownTenantIsServedForStaleGraceWhileTheDirectoryFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := newTenants("acme")
		var j journal
		r := resolver(t, tenancy.Config{Directory: dir, IdleTimeout: -1, Observer: j.observer()})
		defer closeNow(t, r)
		touch(t, r, "acme")
		dir.hook(down)
		for range 659 { // TTL and grace are 11 min together
			time.Sleep(time.Second)
			touch(t, r, "acme")
		}
		if n := dir.asked("acme"); n < 90 || n > 130 { // every 5 s or so
			t.Errorf("%d look-ups in 10 min of failure", n)
		}
		if s := r.Stat(); s.StaleCount() == 0 || s.OpenErrorCount() != 0 {
			t.Errorf("stale %d, errors %d", s.StaleCount(), s.OpenErrorCount())
		}
		time.Sleep(time.Second)
		_, err := r.Acquire(t.Context(), "acme")
		wantErr(t, err, errDown)
		dir.hook(nil)
		again := acquire(t, r, "acme")
		again.Release()
		if s := r.Stat(); s.OpenCount() != 1 || s.OpenPools() != 1 {
			t.Errorf("the pool was not kept over the failure: %d opened", s.OpenCount())
		}
		if got, want := j.read()[1], `stale acme: tenancy: look up tenant "acme": directory down`; got != want {
			t.Errorf("journal %q, want %q", got, want)
		}
	})
}

func TestNegativeStaleGraceServesNothingPastTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := newTenants("acme")
		r := resolver(t, tenancy.Config{Directory: dir, StaleGrace: -1})
		defer closeNow(t, r)
		touch(t, r, "acme")
		dir.hook(down)
		time.Sleep(time.Minute)
		_, err := r.Acquire(t.Context(), "acme")
		wantErr(t, err, errDown)
	})
}

func TestStaleGraceDoesNotOverruleTheDirectory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := newTenants("acme")
		r := resolver(t, tenancy.Config{Directory: dir})
		defer closeNow(t, r)
		touch(t, r, "acme")
		dir.hook(func(context.Context, tenancy.ID) error { return tenancy.ErrNotFound })
		time.Sleep(time.Minute)
		_, err := r.Acquire(t.Context(), "acme")
		wantErr(t, err, tenancy.ErrNotFound)
		synctest.Wait()
		if s := r.Stat(); s.OpenPools()+s.DrainingPools() != 0 {
			t.Error("the pool of a tenant that is gone is open")
		}
	})
}

func TestDirectoryThatHangsDelaysKnownTenantsBriefly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := newTenants("acme")
		r := resolver(t, tenancy.Config{Directory: dir})
		defer closeNow(t, r)
		touch(t, r, "acme")
		dir.hook(func(ctx context.Context, _ tenancy.ID) error { <-ctx.Done(); return ctx.Err() })
		time.Sleep(time.Minute)
		start := time.Now()
		touch(t, r, "acme")
		first := time.Since(start)
		for range 100 {
			touch(t, r, "acme")
		}
		if first != 250*time.Millisecond || time.Since(start) != first {
			t.Errorf("the first waited %v, all %v", first, time.Since(start))
		}
		r.Invalidate("acme", 2) // the resolver never bridges an announced change
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := r.Acquire(ctx, "acme")
		wantErr(t, err, context.DeadlineExceeded)
	})
}

func TestDirectoryBehindItselfIsTreatedAsFailing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := newTenants()
		dir.put(moved("acme", 7, "10.0.0.7"))
		r := resolver(t, tenancy.Config{Directory: dir})
		defer closeNow(t, r)
		touch(t, r, "acme")
		dir.put(moved("acme", 6, "10.0.0.6")) // a replica that lags
		time.Sleep(time.Minute)
		l := acquire(t, r, "acme")
		if l.Tenant().Epoch != 7 {
			t.Errorf("went back to %+v", l.Tenant())
		}
		l.Release()
	})
}
