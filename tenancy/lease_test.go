package tenancy_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// over reports whether the lease is, and that Err agrees.
func over(t testing.TB, l *tenancy.Lease) bool {
	t.Helper()
	select {
	case <-l.Done():
		if l.Err() == nil {
			t.Error("Done is closed, and Err is nil")
		}
		return true
	default:
		if l.Err() != nil {
			t.Errorf("Err is %v before Done is closed", l.Err())
		}
		return false
	}
}

func TestLeaseIsOverWhenItsTenantIsNoLongerServedThere(t *testing.T) {
	suspended, deleting := tenant("acme", 2), tenant("acme", 2)
	suspended.State, deleting.State = tenancy.Suspended, tenancy.Deleting
	for name, c := range map[string]struct {
		next tenancy.Tenant // without an ID: it is gone
		err  error
		want error
	}{
		"suspended":                {next: suspended, want: tenancy.ErrSuspended},
		"deleting":                 {next: deleting, want: tenancy.ErrDeleting},
		"gone":                     {want: tenancy.ErrNotFound},
		"moved":                    {next: moved("acme", 2, "10.0.0.2"), want: tenancy.ErrEvicted},
		"the directory cannot say": {next: tenant("acme", 2), err: errDown, want: tenancy.ErrEvicted},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := newTenants("acme")
				r := resolver(t, tenancy.Config{Directory: dir})
				defer closeNow(t, r)
				l := acquire(t, r, "acme")
				defer l.Release()
				if over(t, l) {
					t.Fatal("over from the start")
				}
				dir.mu.Lock()
				delete(dir.records, "acme")
				if c.next.ID != "" {
					dir.records["acme"] = c.next
				}
				dir.mu.Unlock()
				dir.hook(func(context.Context, tenancy.ID) error { return c.err })
				began := time.Now()
				r.Invalidate("acme", 2)
				synctest.Wait() // no Acquire asks
				if !over(t, l) || !errors.Is(l.Err(), c.want) || time.Since(began) > time.Second {
					t.Errorf("after %v: %v, want %v", time.Since(began), l.Err(), c.want)
				}
				if !open(t, l.Pool()) {
					t.Error("the pool was closed at once")
				}
			})
		})
	}
}

func TestLeaseIsOverWhenItsPoolIsEvictedOrTheResolverCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := resolver(t, tenancy.Config{Directory: newTenants("acme", "globex")})
		a, b := acquire(t, r, "acme"), acquire(t, r, "globex")
		r.Evict("acme")
		if !over(t, a) || over(t, b) {
			t.Error("Evict ended the wrong lease")
		}
		wantErr(t, a.Err(), tenancy.ErrEvicted)
		a.Release()
		closed := make(chan error, 1)
		go func() { closed <- r.Close(t.Context()) }()
		<-b.Done()
		wantErr(t, b.Err(), tenancy.ErrClosed)
		b.Release()
		if err := <-closed; err != nil {
			t.Error(err)
		}
	})
}

func TestLeaseGoesOnWhenItsTargetStaysTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := newTenants()
		first := tenant("acme", 1)
		first.Endpoint.Password = tenancy.NewSecret("old")
		dir.put(first)
		r := resolver(t, tenancy.Config{Directory: dir, DrainTimeout: time.Second})
		defer closeNow(t, r)
		l := acquire(t, r, "acme")
		next := first
		for name, change := range map[string]func(){
			"a new password": func() { next.Endpoint.Password = tenancy.NewSecret("new") },
			"a new epoch":    func() {},
		} {
			next.Epoch++
			change()
			dir.put(next)
			r.Invalidate("acme", next.Epoch)
			time.Sleep(time.Hour) // it would have been drained, and cut
			if over(t, l) || !open(t, l.Pool()) || r.Stat().DrainingPools() != 0 {
				t.Errorf("%s ended the lease: %v", name, l.Err())
			}
			if l.Tenant() != next {
				t.Errorf("%s is not seen: %+v", name, l.Tenant())
			}
			if same := acquire(t, r, "acme"); same.Pool() != l.Pool() {
				t.Errorf("%s made another pool", name)
			} else {
				same.Release()
			}
		}
		r.Renew("acme")
		r.Invalidate("acme", 0)
		time.Sleep(time.Hour)
		if over(t, l) || !open(t, l.Pool()) {
			t.Errorf("a renewal ended the lease: %v", l.Err())
		}
		l.Release()
		if n := r.Stat().EvictCount(tenancy.CauseChanged); n != 0 {
			t.Errorf("%d pools were evicted", n)
		}
	})
}

func TestMustFromContextSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	r := resolver(t, tenancy.Config{Directory: newTenants("acme")})
	defer closeNow(t, r)
	l := acquire(t, r, "acme")
	defer l.Release()
	if got := tenancy.MustFromContext(tenancy.NewContext(t.Context(), l)); got != l {
		t.Error("another lease")
	}
	defer func() {
		const want = "tenancy: no lease in the context: is the route behind middleware's Handler or Tenant?"
		if got := recover(); got != want {
			t.Errorf("panic: %v", got)
		}
	}()
	tenancy.MustFromContext(t.Context())
}
