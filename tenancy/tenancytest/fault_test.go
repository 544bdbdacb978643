package tenancytest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/tenancy"
	"github.com/pgtenancy/pgtenancy/tenancy/tenancytest"
)

// target is a service, and one of its tenants that has been served.
type target struct {
	fleet   *tenancytest.Fleet
	acme    *tenancytest.Tenant
	handler http.Handler
}

func newTarget(t *testing.T, change func(*tenancy.Config)) target {
	t.Helper()
	cfg := notesConfig()
	cfg.Resolver = change
	fleet := tenancytest.New(t, cfg)
	s := target{fleet, fleet.Tenant(t, "acme"), service(t, fleet.Resolver)}
	s.wants(t, http.StatusOK)
	return s
}

func (s target) wants(t *testing.T, want int) {
	t.Helper()
	if code, body := get(t, s.handler, s.acme.ID()); code != want {
		t.Fatalf("status %d, want %d: %s", code, want, body)
	}
}

// comesTo is for what a resolver does in the background: it asks until the status is want.
func (s target) comesTo(t *testing.T, want int) {
	t.Helper()
	pgtest.Eventually(t, fmt.Sprintf("status %d", want), func() bool {
		code, _ := get(t, s.handler, s.acme.ID())
		return code == want
	})
}

// query is what a handler gets that queries with a lease it has.
func query(ctx context.Context, lease *tenancy.Lease) error {
	var one int
	return lease.Pool().QueryRow(ctx, "SELECT 1").Scan(&one)
}

func TestSuspendedTenantIsClosedAndComesBack(t *testing.T) {
	t.Parallel()
	s := newTarget(t, nil)
	lease := s.acme.Lease(t)
	s.acme.Suspend(t)
	s.wants(t, http.StatusForbidden)
	pgtest.Receive(t, "the end of the lease", lease.Done()) // where a stream of events ends
	if err := lease.Err(); !errors.Is(err, tenancy.ErrSuspended) {
		t.Errorf("the lease ends with %v", err)
	}
	s.acme.Resume(t)
	s.wants(t, http.StatusOK)
}

func TestFencedTenantGetsNoConnection(t *testing.T) {
	t.Parallel()
	s := newTarget(t, nil)
	lease := s.acme.Lease(t)
	s.acme.Fence(t)
	pgtest.Eventually(t, "a query that is fenced", func() bool {
		return errors.Is(query(t.Context(), lease), tenancy.ErrFenced) // after the connections that were cut
	})
	s.wants(t, http.StatusServiceUnavailable)
	s.acme.Resume(t)
	s.comesTo(t, http.StatusOK)
}

func TestEvictClosesWhatIsKeptBeyondALease(t *testing.T) {
	t.Parallel()
	for name, evict := range map[string]func(s target){
		"Evict":    func(s target) { s.acme.Evict() },
		"EvictAll": func(s target) { s.fleet.EvictAll() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newTarget(t, nil)
			lease, err := s.fleet.Resolver.Acquire(t.Context(), "acme")
			if err != nil {
				t.Fatal(err)
			}
			evict(s)
			if err := query(t.Context(), lease); err != nil {
				t.Errorf("a query during the lease: %v", err)
			}
			lease.Release()
			pgtest.Eventually(t, "the end of the pool", func() bool { return query(t.Context(), lease) != nil })
			s.wants(t, http.StatusOK) // with another pool
		})
	}
}

func TestTerminateEndsSessionsAndTheNextOneWorks(t *testing.T) {
	t.Parallel()
	s := newTarget(t, nil)
	lease := s.acme.Lease(t)
	conn, err := lease.Pool().Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	if n := s.acme.Terminate(t); n == 0 {
		t.Error("Terminate found no session")
	}
	if _, err := conn.Exec(t.Context(), "SELECT 1"); err == nil {
		t.Error("a query on a connection that was terminated works")
	}
	s.comesTo(t, http.StatusOK)
}

func TestSlowServerIsSlowForThisFleetAlone(t *testing.T) {
	t.Parallel()
	s, other := newTarget(t, nil), newTarget(t, nil)
	lease := s.acme.Lease(t)
	const delay = 300 * time.Millisecond
	s.fleet.SlowServer(delay)
	begin := time.Now()
	if err := query(t.Context(), lease); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took < delay {
		t.Errorf("a query took %v, want %v at least", took, delay)
	}
	ctx, cancel := context.WithTimeout(t.Context(), delay/3)
	defer cancel()
	if err := query(ctx, lease); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a query with a deadline before the answer: %v", err)
	}
	other.fleet.SlowServer(0)
	other.wants(t, http.StatusOK)
	s.fleet.HealServer()
	s.wants(t, http.StatusOK)
}

func TestHungServerAnswersWhenItIsHealed(t *testing.T) {
	t.Parallel()
	s := newTarget(t, nil)
	lease := s.acme.Lease(t)
	s.fleet.HangServer()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := query(ctx, lease); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a query to a server that hangs: %v", err)
	}
	answer := make(chan error, 1)
	go func() { answer <- query(t.Context(), lease) }()
	s.fleet.HealServer()
	if err := pgtest.Receive(t, "the answer", answer); err != nil {
		t.Error(err)
	}
}

func TestStoppedServerIsReportedUntilItIsHealed(t *testing.T) {
	t.Parallel()
	down := make(chan string, 16)
	s := newTarget(t, func(cfg *tenancy.Config) {
		cfg.Observer.ServerDown = func(server string, _ error) { down <- server }
	})
	lease := s.acme.Lease(t)
	s.fleet.StopServer()
	s.comesTo(t, http.StatusServiceUnavailable) // after 500 for a query on a connection that was reset
	for range 10 {
		s.wants(t, http.StatusServiceUnavailable)
	}
	pgtest.Receive(t, "Observer.ServerDown", down)
	if err := query(t.Context(), lease); !errors.Is(err, tenancy.ErrServerDown) {
		t.Errorf("a query after the breaker has opened: %v", err)
	}
	s.fleet.HealServer()
	s.comesTo(t, http.StatusOK)
}
