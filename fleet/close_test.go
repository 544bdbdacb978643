package fleet_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/fleet"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

func TestCloseWaitsForLeases(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	opened := f.open(t)
	_, err := opened.Provisioner().Create(t.Context(), provision.Request{ID: "acme"})
	must(t, err)
	lease, err := opened.Resolver().Acquire(t.Context(), "acme")
	must(t, err)
	closed := make(chan error, 2)
	for range 2 { // one of them is the second
		go func() { closed <- opened.Close(pgtest.Context(t)) }()
	}
	pgtest.Eventually(t, "no lease is given", func() bool {
		_, err := opened.Resolver().Acquire(t.Context(), "acme")
		return errors.Is(err, tenancy.ErrClosed)
	})
	short, cancel := context.WithCancel(t.Context())
	cancel()
	if err := opened.Close(short); !errors.Is(err, context.Canceled) {
		t.Errorf("a Close that waits no longer: %v", err)
	}
	must(t, lease.Pool().Ping(t.Context()))
	if probe(opened) != http.StatusServiceUnavailable {
		t.Error("ready while it stops")
	}
	select {
	case err := <-closed:
		t.Errorf("Close returned before the lease was released: %v", err)
	default:
	}
	lease.Release()
	for range 2 {
		must(t, pgtest.Receive(t, "Close returns", closed))
	}
	must(t, opened.Close(short)) // it is closed
}

// TestCloseIsBoundedWhateverIsInFlight closes a fleet that cannot come to rest: a lease is not released, and a user of
// the registry does not give its connection back.
func TestCloseIsBoundedWhateverIsInFlight(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	opened := f.open(t)
	_, err := opened.Provisioner().Create(t.Context(), provision.Request{ID: "acme"})
	must(t, err)
	lease, err := opened.Resolver().Acquire(t.Context(), "acme")
	must(t, err)
	queries := make(chan error, 2)
	go func() {
		_, err := lease.Pool().Exec(context.WithoutCancel(t.Context()), "SELECT pg_sleep(1000)")
		queries <- err
	}()
	locked, release := f.lockServers(t)
	go func() {
		_, err := opened.Registry().Servers(context.WithoutCancel(t.Context()))
		queries <- err
	}()
	pgtest.Eventually(t, "both queries run", func() bool { return locked() && f.sleeps(t) })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	begin := time.Now()
	err = opened.Close(ctx)
	if took := time.Since(begin); took > 30*time.Second { // four, on a machine that does nothing else
		t.Errorf("Close took %v", took)
	}
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "connections to the registry, cut off") {
		t.Errorf("Close: %v", err)
	}
	for range 2 {
		if pgtest.Receive(t, "a query ends", queries) == nil {
			t.Error("a query has an answer")
		}
	}
	lease.Release()
	release()
	pgtest.Eventually(t, "no session is left", func() bool { return len(f.sessions(t)) == 0 })
}

// sleeps reports whether a tenant's query sleeps.
func (f *fixture) sleeps(t *testing.T) bool {
	return len(f.names(t, `SELECT datname FROM pg_stat_activity
		WHERE starts_with(datname, $1) AND query LIKE '%pg_sleep%' AND state = 'active'`)) > 0
}

// lockServers holds up every query of the registry's servers until release is called. waited reports whether there is
// one.
func (f *fixture) lockServers(t *testing.T) (waited func() bool, release func()) {
	t.Helper()
	cfg := f.config.RegistryConfig.ConnConfig.Copy()
	delete(cfg.RuntimeParams, "application_name")
	conn, err := pgx.ConnectConfig(t.Context(), cfg)
	must(t, err)
	_, err = conn.Exec(t.Context(), "BEGIN; LOCK pgtenancy.servers", pgx.QueryExecModeSimpleProtocol)
	must(t, err)
	waited = func() bool {
		return len(f.names(t, `SELECT application_name FROM pg_stat_activity
			WHERE application_name = $1 AND wait_event_type = 'Lock'`)) > 0
	}
	return waited, func() { _ = conn.Close(context.WithoutCancel(t.Context())) }
}

func TestUnreadyFailsTheProbeWhileTenantsAreServed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	opened := f.open(t)
	_, err := opened.Provisioner().Create(t.Context(), provision.Request{ID: "acme"})
	must(t, err)
	if probe(opened) != http.StatusOK {
		t.Error("not ready")
	}
	opened.Unready()
	if err := opened.Check(t.Context()); err == nil || probe(opened) != http.StatusServiceUnavailable {
		t.Errorf("ready after Unready: %v", err)
	}
	lease, err := opened.Resolver().Acquire(t.Context(), "acme")
	must(t, err)
	defer lease.Release()
	must(t, lease.Pool().Ping(t.Context()))
}

func TestCheckReportsALoopThatHasEnded(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, name := range []string{"budget share", "follower", "reconciler"} {
		opened := f.open(t)
		must(t, opened.Check(t.Context()))
		opened.StopLoop(name)
		var status interface{ HTTPStatus() int }
		err := opened.Check(t.Context())
		if err == nil || err.Error() != "fleet: "+name+" has ended" || !errors.As(err, &status) ||
			status.HTTPStatus() != http.StatusServiceUnavailable {
			t.Errorf("without the %s: %v", name, err)
		}
		must(t, opened.Close(pgtest.Context(t)))
	}
}

func TestCheckReportsARegistryThatIsGoneAndThatIsBack(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var gone atomic.Bool
	dial := (&net.Dialer{}).DialContext
	opened := f.open(t, func(c *fleet.Config) {
		c.RegistryConfig = c.RegistryConfig.Copy()
		c.RegistryConfig.ConnConfig.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if gone.Load() {
				return nil, net.ErrClosed
			}
			return dial(ctx, network, addr)
		}
	})
	_, err := opened.Provisioner().Create(t.Context(), provision.Request{ID: "acme"})
	must(t, err)
	lease, err := opened.Resolver().Acquire(t.Context(), "acme")
	must(t, err)
	defer lease.Release()
	gone.Store(true)
	pgtest.Eventually(t, "a registry that is gone is reported", func() bool {
		f.exec(t, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = '`+f.config.RegistryConfig.ConnConfig.Database+`'`)
		return probe(opened) == http.StatusServiceUnavailable
	})
	must(t, lease.Pool().Ping(t.Context())) // tenants are served
	gone.Store(false)
	pgtest.Eventually(t, "the registry is back", func() bool { return probe(opened) == http.StatusOK })
}
