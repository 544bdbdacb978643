package tenancy_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// attachment is what the tests attach. It knows its pool, and whether it is closed.
type attachment struct {
	pool   *pgxpool.Pool
	mu     sync.Mutex
	closes int
}

func (a *attachment) closed() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.closes
}

// attachments makes attachments and keeps all of them.
type attachments struct {
	mu   sync.Mutex
	made []*attachment
	errs []error // of closes that came at a wrong time
}

func (m *attachments) attach(_ context.Context, _ tenancy.Tenant, pool *pgxpool.Pool) (any, func(), error) {
	a := &attachment{pool: pool}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.made = append(m.made, a)
	return a, func() {
		a.mu.Lock()
		a.closes++
		a.mu.Unlock()
		if err := pool.Ping(context.Background()); !errors.Is(err, errNoDial) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.errs = append(m.errs, fmt.Errorf("when it was closed, its pool was not open: %w", err))
		}
	}, nil
}

func (m *attachments) count() (made, closed int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, a := range m.made {
		closed += a.closed()
	}
	return len(m.made), closed
}

// check reports every attachment that was not closed exactly once, and every close that came at a wrong time.
func (m *attachments) check(t *testing.T) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, a := range m.made {
		if n := a.closed(); n != 1 {
			t.Errorf("attachment %d was closed %d times", i, n)
		}
	}
	for _, err := range m.errs {
		t.Error(err)
	}
}

// attached returns what is attached to l, which must be open and belong to l's pool.
func attached(t testing.TB, l *tenancy.Lease) *attachment {
	t.Helper()
	a, ok := tenancy.Attached[*attachment](l)
	if !ok || a.pool != l.Pool() || a.closed() > 0 {
		t.Fatalf("attached: %v, of this pool %v, closed %d times", ok, a.pool == l.Pool(), a.closed())
	}
	return a
}

func TestAttachedValueLivesAsLongAsItsPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m attachments
		dir := newTenants("acme")
		r := resolver(t, tenancy.Config{Directory: dir, Attach: m.attach, IdleTimeout: -1})
		counts := func(made, closed int, when string) {
			t.Helper()
			synctest.Wait()
			if gotMade, gotClosed := m.count(); gotMade != made || gotClosed != closed {
				t.Errorf("%s: %d made and %d closed, want %d and %d", when, gotMade, gotClosed, made, closed)
			}
		}
		l := acquire(t, r, "acme")
		second := acquire(t, r, "acme")
		if attached(t, l) != attached(t, second) {
			t.Error("two leases of one pool have different values")
		}
		second.Release()
		r.Renew("acme")
		counts(1, 0, "after a renewal")
		l.Release()
		time.Sleep(3 * time.Second)
		counts(1, 1, "asleep")
		l = acquire(t, r, "acme")
		attached(t, l)
		counts(2, 1, "awake")
		r.Evict("acme")
		counts(2, 1, "evicted under a lease")
		attached(t, l)
		l.Release()
		counts(2, 2, "evicted")
		l = acquire(t, r, "acme")
		moved := tenant("acme", 2)
		moved.Endpoint.Database = "elsewhere"
		dir.put(moved)
		r.Invalidate("acme", 2)
		synctest.Wait()
		after := acquire(t, r, "acme")
		if attached(t, l) == attached(t, after) {
			t.Error("two databases have one value")
		}
		counts(4, 2, "moved, with a lease on the old pool")
		l.Release()
		after.Release()
		counts(4, 3, "moved")
		closeNow(t, r)
		counts(4, 4, "after Close")
		m.check(t)
	})
}

// A cut closes the pool under its lease, but what is attached to it only after that.
func TestAttachedValueOutlivesALeaseThatIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var closed bool
		r := resolver(t, tenancy.Config{
			Directory: newTenants("acme"), DrainTimeout: time.Second,
			Attach: func(context.Context, tenancy.Tenant, *pgxpool.Pool) (any, func(), error) {
				return "value", func() { closed = true }, nil
			},
		})
		l := acquire(t, r, "acme")
		r.Evict("acme")
		time.Sleep(time.Minute)
		synctest.Wait()
		if open(t, l.Pool()) || closed {
			t.Errorf("after the cut: pool open %v, value closed %v", open(t, l.Pool()), closed)
		}
		l.Release()
		synctest.Wait()
		if !closed {
			t.Error("the value is open after the last lease")
		}
		closeNow(t, r)
	})
}

func TestAcquireFailsWithTheErrorOfAttachAndLeavesNothingOpen(t *testing.T) {
	errBroken := errors.New("broken")
	for name, attach := range map[string]func(*pgxpool.Pool) (any, func(), error){
		"error": func(*pgxpool.Pool) (any, func(), error) {
			return "value", func() { t.Error("close was called") }, errBroken
		},
		"panic": func(*pgxpool.Pool) (any, func(), error) { panic("secret") },
		"exit":  func(*pgxpool.Pool) (any, func(), error) { runtime.Goexit(); return nil, nil, nil },
	} {
		synctest.Test(t, func(t *testing.T) {
			var failing bool
			var pools []*pgxpool.Pool
			r := resolver(t, tenancy.Config{
				Directory: newTenants("acme"), MaxPools: 1, CapacityWait: -1,
				Attach: func(_ context.Context, _ tenancy.Tenant, pool *pgxpool.Pool) (any, func(), error) {
					pools = append(pools, pool)
					if failing {
						return attach(pool)
					}
					return 1, nil, nil
				},
			})
			fails := func(when string) {
				t.Helper()
				failing = true
				_, err := r.Acquire(t.Context(), "acme")
				var panicked *tenancy.PanicError
				switch {
				case err == nil, strings.Contains(err.Error(), "secret"), !strings.Contains(err.Error(), "acme"),
					name == "error" && !errors.Is(err, errBroken), name == "panic" && !errors.As(err, &panicked):
					t.Errorf("%s, %s: %v", name, when, err)
				}
				if open(t, pools[len(pools)-1]) {
					t.Errorf("%s, %s: the pool is open", name, when)
				}
				failing = false
			}
			fails("at first")
			if s := r.Stat(); s.OpenPools()+s.DrainingPools()+s.Leases() != 0 {
				t.Errorf("%s: %d open, %d draining, %d leases", name, s.OpenPools(), s.DrainingPools(), s.Leases())
			}
			acquire(t, r, "acme").Release() // the one slot came back
			time.Sleep(3 * time.Second)
			fails("on wake")
			if s := r.Stat(); s.SleepingPools() != 1 || s.Leases() != 0 {
				t.Errorf("%s: %d sleep, %d leases", name, s.SleepingPools(), s.Leases())
			}
			l := acquire(t, r, "acme")
			if v, ok := tenancy.Attached[int](l); v != 1 || !ok {
				t.Errorf("attached %v, %v", v, ok)
			}
			if v, ok := tenancy.Attached[string](l); v != "" || ok {
				t.Errorf("attached %q, %v as another type", v, ok)
			}
			l.Release()
			closeNow(t, r)
		})
	}
}
