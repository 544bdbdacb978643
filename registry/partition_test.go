package registry_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// A router that cannot reach the registry goes on with the tenants that it knows, refuses the others
// in good time, asks for each tenant once when the registry is back, and hears of what it missed.
func TestRouterWithoutItsRegistryServesWhomItKnows(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	known, fresh, herd := 8, 20, 300
	for i := range known {
		f.active(t, name("known%d", i))
	}
	for i := range fresh {
		f.active(t, name("fresh%d", i))
	}
	for _, how := range []string{"refused", "black hole"} {
		t.Run(how, func(t *testing.T) {
			l, through := newLink(t)
			const ttl, openTimeout = 300 * time.Millisecond, time.Second
			n := f.node(t, how, through, 500*time.Millisecond, tenancy.Config{TTL: ttl, OpenTimeout: openTimeout})
			each := func(kind string, count int, f func(tenancy.ID)) {
				for i := range count {
					f(tenancy.ID(name("%s%d", kind, i)))
				}
			}
			acquire := func(id tenancy.ID) error {
				lease, err := n.Acquire(t.Context(), id)
				if err == nil {
					lease.Release()
				}
				return err
			}
			each("known", known, func(id tenancy.ID) { must(t, acquire(id)) })

			l.hole.Store(how == "black hole")
			if l.cut.Store(how == "refused"); l.cut.Load() {
				l.closeConn()
			}
			var failed, served atomic.Int64
			end := time.Now().Add(pgtest.Size(1500*time.Millisecond, time.Minute))
			var users sync.WaitGroup
			users.Go(func() {
				ticker := time.NewTicker(5 * time.Millisecond)
				defer ticker.Stop()
				for time.Now().Before(end) {
					each("known", known, func(id tenancy.ID) {
						if err := acquire(id); err != nil {
							failed.Add(1)
							t.Errorf("known tenant: %v", err)
							return
						}
						served.Add(1)
					})
					<-ticker.C
				}
			})
			var slowest time.Duration
			for time.Now().Before(end) {
				start := time.Now()
				if acquire("fresh0") == nil {
					t.Error("found without a registry")
				}
				slowest = max(slowest, time.Since(start))
			}
			pgtest.Wait(t, "every user ends", users.Wait)

			must(t, errors.Join(f.Suspend(t.Context(), "known0"), f.Resume(t.Context(), "known0"), f.Suspend(t.Context(),
				"known0")))
			l.hole.Store(false)
			l.cut.Store(false)
			l.closeConn()
			back, before := time.Now(), n.Stat().LookupCount()
			for i := range herd {
				users.Go(func() {
					id := tenancy.ID(name("fresh%d", i%fresh))
					eventually(t, "found again", func() bool { return acquire(id) == nil })
				})
			}
			pgtest.Wait(t, "every user ends", users.Wait)
			found, asked := time.Since(back), n.Stat().LookupCount()-before
			eventually(t, "heard of", func() bool { return errors.Is(acquire("known0"), tenancy.ErrSuspended) })
			heard := time.Since(back)
			must(t, f.Resume(t.Context(), "known0"))
			if slowest > openTimeout+5*time.Second {
				t.Errorf("unknown tenants were refused after %v", slowest)
			}
			pgtest.Figure(t, "R12", "registry %s: %d of %d acquires of known tenants failed, unknown ones were refused after "+
				"%v at most; back: %d requests at once for %d tenants served within %v by %d look-ups; a suspension that was "+
				"missed is heard of after %v",
				how, failed.Load(), served.Load()+failed.Load(), slowest.Round(time.Millisecond), herd, fresh,
				found.Round(time.Millisecond), asked, heard.Round(time.Millisecond))
		})
	}
}
