package tenancy_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// client is what a test attaches to a pool.
type client struct {
	tenant tenancy.ID
	pool   *pgxpool.Pool
	closed atomic.Int64
}

// clients makes them, and remembers all.
type clients struct {
	mu   sync.Mutex
	made []*client
	fail error
}

func (c *clients) attach(ctx context.Context, t tenancy.Tenant, pool *pgxpool.Pool) (any, func(), error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fail != nil || ctx.Err() != nil {
		return nil, nil, c.fail
	}
	made := &client{tenant: t.ID, pool: pool}
	c.made = append(c.made, made)
	return made, func() { made.closed.Add(1) }, nil
}

// is fails the test unless as many were made and as many are closed, each once.
func (c *clients) is(t *testing.T, made, closed int) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, m := range c.made {
		if m.closed.Load() > 1 {
			t.Errorf("closed %d times", m.closed.Load())
		}
		n += int(m.closed.Load())
	}
	if len(c.made) != made || n != closed {
		t.Errorf("%d were made and %d closed, want %d and %d", len(c.made), n, made, closed)
	}
}

// attached returns l's client, which must be that of l's pool.
func attached(t *testing.T, l *tenancy.Lease) *client {
	t.Helper()
	c, ok := tenancy.Attached[*client](l)
	if !ok || c.pool != l.Pool() || c.tenant != l.Tenant().ID || c.closed.Load() > 0 {
		t.Fatalf("%v, %v", c, ok)
	}
	return c
}

func TestWhatIsAttachedLivesAsLongAsItsPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c clients
		r := resolver(t, tenancy.Config{Directory: newTenants("acme", "globex"), Attach: c.attach, IdleTimeout: time.Hour})
		a, b, other := acquire(t, r, "acme"), acquire(t, r, "acme"), acquire(t, r, "globex")
		if attached(t, a) != attached(t, b) || attached(t, a) == attached(t, other) {
			t.Error("not one for each pool")
		}
		if _, ok := tenancy.Attached[string](a); ok {
			t.Error("it has another type")
		}
		c.is(t, 2, 0)
		other.Release()
		time.Sleep(3 * time.Second)
		synctest.Wait()
		c.is(t, 2, 1) // globex sleeps
		other = acquire(t, r, "globex")
		attached(t, other)
		c.is(t, 3, 1)
		r.Evict("acme")
		synctest.Wait()
		c.is(t, 3, 1) // it is leased
		a.Release()
		attached(t, b)
		b.Release()
		synctest.Wait()
		c.is(t, 3, 2)
		other.Release()
		closeNow(t, r)
		c.is(t, 3, 3)
	})
}

func TestAttachThatFailsLeavesNothingOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clients{fail: errors.New("no schema")}
		panics := false
		r := resolver(t, tenancy.Config{
			Directory: newTenants("acme"), MaxPools: 1,
			Attach: func(ctx context.Context, t tenancy.Tenant, pool *pgxpool.Pool) (any, func(), error) {
				if panics {
					panic("boom")
				}
				return c.attach(ctx, t, pool)
			},
		})
		defer closeNow(t, r)
		for range 3 {
			if _, err := r.Acquire(t.Context(), "acme"); !errors.Is(err, c.fail) ||
				!strings.Contains(err.Error(), `tenancy: open pool for tenant "acme": attach: `) {
				t.Errorf("%v", err)
			}
		}
		panics = true
		var pe *tenancy.PanicError
		if _, err := r.Acquire(t.Context(), "acme"); !errors.As(err, &pe) {
			t.Errorf("%v", err)
		}
		if s := r.Stat(); s.OpenPools() != 0 || s.Leases() != 0 {
			t.Errorf("%d pools and %d leases", s.OpenPools(), s.Leases())
		}
		panics, c.fail = false, nil
		l := acquire(t, r, "acme")
		attached(t, l)
		l.Release()
	})
}

func TestManyHoldersSeeOneAttachedValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c clients
		r := resolver(t, tenancy.Config{Directory: newTenants("acme"), Attach: c.attach})
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() {
				for range 20 {
					l := acquire(t, r, "acme")
					attached(t, l)
					if i == 0 {
						r.Evict("acme")
					}
					time.Sleep(time.Millisecond)
					if got, _ := tenancy.Attached[*client](l); got.closed.Load() > 0 {
						t.Error("closed while it was leased")
					}
					l.Release()
				}
			})
		}
		wg.Wait()
		closeNow(t, r)
		c.is(t, len(c.made), len(c.made))
	})
}

func TestStrictResolverRefusesAPoolAfterRelease(t *testing.T) {
	t.Parallel()
	dir, base := databases(t, 1)
	r := resolver(t, tenancy.Config{
		Directory: dir, Base: base, Strict: true,
		Attach: func(ctx context.Context, _ tenancy.Tenant, pool *pgxpool.Pool) (any, func(), error) {
			return nil, nil, pool.Ping(ctx) // before it is anybody's
		},
	})
	defer closeNow(t, r)
	l := acquire(t, r, "t0")
	pool := l.Pool()
	if err := pool.Ping(t.Context()); err != nil {
		t.Errorf("leased: %v", err)
	}
	l.Release()
	if _, err := pool.Exec(t.Context(), "SELECT 1"); !errors.Is(err, tenancy.ErrReleased) {
		t.Errorf("after Release: %v", err)
	}
	again := acquire(t, r, "t0")
	defer again.Release()
	if err := again.Pool().Ping(t.Context()); err != nil {
		t.Errorf("leased again: %v", err)
	}
}
