package tenancy_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

func TestEvictWaitsForLastLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := resolver(t, tenancy.Config{Directory: newTenants("acme"), Observer: j.observer()})
		defer closeNow(t, r)
		a, b := acquire(t, r, "acme"), acquire(t, r, "acme")
		r.Evict("acme")
		r.Evict("acme") // it is evicted already
		time.Sleep(10 * time.Second)
		c := acquire(t, r, "acme")
		if c.Pool() == a.Pool() {
			t.Error("an evicted pool was leased")
		}
		a.Release()
		synctest.Wait()
		if !open(t, b.Pool()) || r.Stat().OldestDraining() != 10*time.Second {
			t.Error("the pool was closed under a holder")
		}
		b.Release()
		synctest.Wait()
		if open(t, b.Pool()) || !open(t, c.Pool()) {
			t.Error("the wrong pool is closed")
		}
		c.Release()
		want := []string{"opened acme", "evicted acme: explicit", "opened acme", "closed acme: explicit after 10s"}
		if diff := cmp.Diff(want, j.read()); diff != "" {
			t.Error(diff)
		}
		if s := r.Stat(); s.EvictCount(tenancy.CauseExplicit) != 1 || s.OpenCount() != 2 {
			t.Errorf("stat %+v", s)
		}
	})
}

func TestDrainTimeoutClosesThePoolUnderItsHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := resolver(t, tenancy.Config{Directory: newTenants("acme"), DrainTimeout: 30 * time.Second})
		defer closeNow(t, r)
		l := acquire(t, r, "acme")
		r.Evict("acme")
		time.Sleep(30*time.Second - 1)
		if !open(t, l.Pool()) {
			t.Error("closed too early")
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if open(t, l.Pool()) || r.Stat().DrainingPools() != 0 {
			t.Error("not closed after DrainTimeout")
		}
		l.Release()
		l.Release()
	})
}

func TestNegativeDrainTimeoutWaitsForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := resolver(t, tenancy.Config{Directory: newTenants("acme"), DrainTimeout: -1})
		defer closeNow(t, r)
		l := acquire(t, r, "acme")
		r.Evict("acme")
		time.Sleep(24 * time.Hour)
		if !open(t, l.Pool()) {
			t.Error("closed under its holder")
		}
		l.Release()
	})
}

func TestIdlePoolsAreClosedOldestFirstAndLeasedOnesNever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := resolver(t, tenancy.Config{
			Directory: newTenants("a", "b", "c"), IdleTimeout: time.Minute, TTL: -1, Observer: j.observer(),
		})
		defer closeNow(t, r)
		held := acquire(t, r, "a")
		touch(t, r, "b")
		time.Sleep(30 * time.Second)
		touch(t, r, "c")
		time.Sleep(40 * time.Second)
		if s := r.Stat(); s.OpenPools() != 2 || s.EvictCount(tenancy.CauseIdle) != 1 {
			t.Errorf("after 70 s: %d open, %d evicted", s.OpenPools(), s.EvictCount(tenancy.CauseIdle))
		}
		time.Sleep(time.Hour)
		if s := r.Stat(); s.OpenPools() != 1 || !open(t, held.Pool()) {
			t.Errorf("%d open, the leased one %v", s.OpenPools(), open(t, held.Pool()))
		}
		held.Release() // idle counts from here
		time.Sleep(58 * time.Second)
		if r.Stat().OpenPools() != 1 {
			t.Error("closed before IdleTimeout")
		}
		time.Sleep(3 * time.Second)
		if r.Stat().OpenPools() != 0 {
			t.Error("not closed after IdleTimeout")
		}
	})
}

func TestCloseWaitsForLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := resolver(t, tenancy.Config{Directory: newTenants("acme", "globex"), DrainTimeout: -1})
		l := acquire(t, r, "acme")
		touch(t, r, "globex")
		errs := make(chan error, 2)
		for range 2 {
			go func() { errs <- r.Close(t.Context()) }()
		}
		time.Sleep(time.Hour)
		if !open(t, l.Pool()) || r.Stat().DrainingPools() != 1 {
			t.Error("Close did not wait for the lease")
		}
		_, err := r.Acquire(t.Context(), "acme")
		wantErr(t, err, tenancy.ErrClosed)
		l.Release()
		for range 2 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		closeNow(t, r) // once more
		r.Evict("acme")
		r.Invalidate("acme", 0)
	})
}

func TestCloseCutsLeasesWhenItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := resolver(t, tenancy.Config{Directory: newTenants("acme"), DrainTimeout: -1})
		l := acquire(t, r, "acme")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wantErr(t, r.Close(ctx), context.DeadlineExceeded)
		if open(t, l.Pool()) {
			t.Error("open after Close")
		}
		l.Release()
		closeNow(t, r)
	})
}

func TestCloseReturnsWhenOpenIsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := newTenants("acme")
		dir.hook(func(ctx context.Context, _ tenancy.ID) error { <-ctx.Done(); return ctx.Err() })
		r := resolver(t, tenancy.Config{Directory: dir, OpenTimeout: time.Hour})
		got := make(chan error)
		go func() {
			_, err := r.Acquire(t.Context(), "acme")
			got <- err
		}()
		synctest.Wait()
		closeNow(t, r)
		wantErr(t, <-got, tenancy.ErrClosed)
	})
}

func TestCloseDoesNotWaitForADirectoryThatIgnoresItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := newTenants("acme")
		release := make(chan struct{})
		dir.hook(func(context.Context, tenancy.ID) error { <-release; return nil })
		var j journal
		r := resolver(t, tenancy.Config{Directory: dir, Observer: j.observer()})
		got := make(chan error)
		go func() {
			_, err := r.Acquire(t.Context(), "acme")
			got <- err
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wantErr(t, r.Close(ctx), context.DeadlineExceeded)
		wantErr(t, <-got, tenancy.ErrClosed)
		close(release)
		closeNow(t, r)
		if lines := j.read(); len(lines) != 0 {
			t.Errorf("opened after Close: %q", lines)
		}
	})
}

// The resolver is closed after the pool was made and before it can be leased: the observer is called in between.
func TestPoolOpenedWhileClosingIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r *tenancy.Resolver
		var j journal
		o := j.observer()
		closed := make(chan error, 1)
		o.PoolOpened = func(tenancy.ID) {
			go func() { closed <- r.Close(t.Context()) }()
			time.Sleep(time.Second) // until Close waits for this very function
		}
		r = resolver(t, tenancy.Config{Directory: newTenants("acme"), Observer: o})
		_, err := r.Acquire(t.Context(), "acme")
		wantErr(t, err, tenancy.ErrClosed)
		if err := <-closed; err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff([]string{"evicted acme: closed", "closed acme: closed after 0s"}, j.read()); diff != "" {
			t.Error(diff)
		}
		closeNow(t, r)
	})
}
