package tenancy_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

func TestAcquireSharesOnePoolForEachTenant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := newTenants("acme", "globex")
		r := resolver(t, tenancy.Config{Directory: dir})
		defer closeNow(t, r)
		a, b, c := acquire(t, r, "acme"), acquire(t, r, "acme"), acquire(t, r, "globex")
		if a.Pool() != b.Pool() || a.Pool() == c.Pool() {
			t.Error("pools are not one for each tenant")
		}
		s := r.Stat()
		if s.OpenPools() != 2 || s.Leases() != 3 || s.HitCount() != 1 || s.MissCount() != 2 || dir.asked("acme") != 1 {
			t.Errorf("stat %+v, %d look-ups", s, dir.asked("acme"))
		}
		a.Release()
		b.Release()
		c.Release()
	})
}

func TestSecondReleaseTakesNoOtherHoldersLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := resolver(t, tenancy.Config{Directory: newTenants("acme")})
		defer closeNow(t, r)
		a, b := acquire(t, r, "acme"), acquire(t, r, "acme")
		a.Release()
		a.Release()
		r.Evict("acme")
		synctest.Wait()
		if !open(t, b.Pool()) || r.Stat().Leases() != 1 {
			t.Error("the second Release of one lease ended another")
		}
		b.Release()
		synctest.Wait()
		if open(t, b.Pool()) {
			t.Error("the pool is open after its last lease")
		}
	})
}

func TestAcquireFuncReleasesAfterErrorAndPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := resolver(t, tenancy.Config{Directory: newTenants("acme")})
		defer closeNow(t, r)
		boom := errors.New("boom")
		err := r.AcquireFunc(t.Context(), "acme", func(_ context.Context, pool *pgxpool.Pool) error {
			if pool.Config().ConnConfig.Database != "tenant_acme" || r.Stat().Leases() != 1 {
				t.Error("not leased")
			}
			return boom
		})
		if err != boom {
			t.Errorf("error %v", err)
		}
		func() {
			defer func() { _ = recover() }()
			_ = r.AcquireFunc(t.Context(), "acme", func(context.Context, *pgxpool.Pool) error { panic("boom") })
		}()
		if n := r.Stat().Leases(); n != 0 {
			t.Errorf("%d leases left", n)
		}
	})
}

func TestInvalidIDNeverReachesTheDirectory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := newTenants()
		r := resolver(t, tenancy.Config{Directory: dir})
		defer closeNow(t, r)
		for _, id := range []tenancy.ID{"", "Acme", "a b", "-a", "a;drop", tenancy.ID(strings.Repeat("a", 56))} {
			_, err := r.Acquire(t.Context(), id)
			wantErr(t, err, tenancy.ErrInvalidID)
		}
		if n := r.Stat().LookupCount(); n != 0 {
			t.Errorf("%d look-ups", n)
		}
	})
}

func TestUnknownTenantIsRememberedForNotFoundTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := newTenants()
		r := resolver(t, tenancy.Config{Directory: dir, NotFoundTTL: 5 * time.Second})
		defer closeNow(t, r)
		for range 3 {
			_, err := r.Acquire(t.Context(), "ghost")
			wantErr(t, err, tenancy.ErrNotFound)
		}
		if n := dir.asked("ghost"); n != 1 {
			t.Errorf("%d look-ups within NotFoundTTL", n)
		}
		dir.put(tenant("ghost", 1))
		time.Sleep(5 * time.Second)
		touch(t, r, "ghost")
	})
}

func TestNotFoundMemoryIsBoundedAndCanBeOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := newTenants()
		r := resolver(t, tenancy.Config{Directory: dir, MaxNotFound: 2})
		off := resolver(t, tenancy.Config{Directory: dir, NotFoundTTL: -1})
		defer closeNow(t, r)
		defer closeNow(t, off)
		for _, id := range []tenancy.ID{"a", "b", "c", "a"} {
			_, err := r.Acquire(t.Context(), id)
			wantErr(t, err, tenancy.ErrNotFound)
		}
		for range 2 {
			_, err := off.Acquire(t.Context(), "z")
			wantErr(t, err, tenancy.ErrNotFound)
		}
		if dir.asked("a") != 2 || dir.asked("z") != 2 {
			t.Errorf("look-ups: a %d, z %d, want 2 and 2", dir.asked("a"), dir.asked("z"))
		}
	})
}

func TestDirectoryFailureIsNotRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := newTenants("acme")
		down := errors.New("directory down")
		dir.hook(func(context.Context, tenancy.ID) error { return down })
		r := resolver(t, tenancy.Config{Directory: dir})
		defer closeNow(t, r)
		_, err := r.Acquire(t.Context(), "acme")
		wantErr(t, err, down)
		if got, want := err.Error(), `tenancy: look up tenant "acme": directory down`; got != want {
			t.Errorf("error %q, want %q", got, want)
		}
		dir.hook(nil)
		touch(t, r, "acme")
	})
}

func TestInactiveTenantHasItsOwnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := newTenants()
		r := resolver(t, tenancy.Config{Directory: dir})
		defer closeNow(t, r)
		for state, want := range map[tenancy.State]error{
			tenancy.Provisioning: tenancy.ErrProvisioning, tenancy.Suspended: tenancy.ErrSuspended,
			tenancy.Moving: tenancy.ErrMoving, tenancy.Deleting: tenancy.ErrDeleting,
			tenancy.Failing: tenancy.ErrFailing, "": tenancy.ErrNotActive, "ACTIVE": tenancy.ErrNotActive,
		} {
			rec := tenant("acme", 1)
			rec.State = state
			dir.put(rec)
			_, err := r.Acquire(t.Context(), "acme")
			wantErr(t, err, want)
			wantErr(t, err, tenancy.ErrNotActive)
			var se *tenancy.StateError
			if !errors.As(err, &se) || se.State != state || se.ID != "acme" {
				t.Errorf("state %q: error %#v", state, err)
			}
		}
	})
}

func TestAnswerForAnotherTenantIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := resolver(t, tenancy.Config{Directory: tenancy.DirectoryFunc(
			func(_ context.Context, id tenancy.ID) (tenancy.Tenant, error) {
				rec := tenant("globex", 1)
				if id == "anonymous" {
					rec.ID = ""
				}
				return rec, nil
			})})
		defer closeNow(t, r)
		if _, err := r.Acquire(t.Context(), "acme"); err == nil {
			t.Error("leased another tenant's database")
		}
		l := acquire(t, r, "anonymous") // an empty ID is filled in
		l.Release()
	})
}

func TestPanicAndGoexitInTheDirectoryBecomeErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := newTenants("acme")
		r := resolver(t, tenancy.Config{Directory: dir})
		defer closeNow(t, r)
		dir.hook(func(context.Context, tenancy.ID) error { panic("password=hunter2") })
		_, err := r.Acquire(t.Context(), "acme")
		var pe *tenancy.PanicError
		if !errors.As(err, &pe) || pe.Value != "password=hunter2" || !strings.Contains(string(pe.Stack), "Lookup") {
			t.Errorf("error %v", err)
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Error("the panic's value is printed")
		}
		dir.hook(func(context.Context, tenancy.ID) error { runtime.Goexit(); return nil })
		if _, err := r.Acquire(t.Context(), "acme"); err == nil {
			t.Error("no error after Goexit")
		}
		dir.hook(nil)
		touch(t, r, "acme")
	})
}

func TestOpenTimeoutBoundsTheLookUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := newTenants("acme")
		dir.hook(func(ctx context.Context, _ tenancy.ID) error { <-ctx.Done(); return ctx.Err() })
		r := resolver(t, tenancy.Config{Directory: dir, OpenTimeout: 3 * time.Second})
		defer closeNow(t, r)
		start := time.Now()
		_, err := r.Acquire(t.Context(), "acme")
		wantErr(t, err, context.DeadlineExceeded)
		if d := time.Since(start); d != 3*time.Second {
			t.Errorf("took %v", d)
		}
	})
}

func TestOpeningGoesOnAfterItsFirstCallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := newTenants("acme")
		dir.hook(func(ctx context.Context, _ tenancy.ID) error {
			select {
			case <-time.After(time.Second):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		r := resolver(t, tenancy.Config{Directory: dir})
		defer closeNow(t, r)
		ctx, cancel := context.WithCancel(t.Context())
		leader := make(chan error)
		go func() {
			_, err := r.Acquire(ctx, "acme")
			leader <- err
		}()
		synctest.Wait()
		var followers sync.WaitGroup
		for range 999 {
			followers.Go(func() { touch(t, r, "acme") })
		}
		synctest.Wait()
		cancel()
		wantErr(t, <-leader, context.Canceled)
		followers.Wait()
		if n := dir.asked("acme"); n != 1 {
			t.Errorf("%d look-ups", n)
		}
	})
}

func TestPoolNobodyWaitsForAnyMoreIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := newTenants("acme")
		release := make(chan struct{})
		dir.hook(func(context.Context, tenancy.ID) error { <-release; return nil })
		r := resolver(t, tenancy.Config{Directory: dir})
		defer closeNow(t, r)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := r.Acquire(ctx, "acme")
		wantErr(t, err, context.DeadlineExceeded)
		close(release)
		synctest.Wait()
		touch(t, r, "acme")
		if s := r.Stat(); s.HitCount() != 1 || s.Leases() != 0 {
			t.Errorf("hits %d, leases %d", s.HitCount(), s.Leases())
		}
	})
}
