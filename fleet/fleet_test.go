package fleet_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/fleet"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// TestFleetOpensServesAndLeavesNothing is not parallel: it counts goroutines.
func TestFleetOpensServesAndLeavesNothing(t *testing.T) {
	f := newFixture(t)
	before := runtime.NumGoroutine()
	opened, err := fleet.Open(t.Context(), f.config)
	must(t, err)
	result, err := opened.Provisioner().Create(t.Context(), provision.Request{ID: "acme"})
	must(t, err)
	lease, err := opened.Resolver().Acquire(t.Context(), "acme")
	must(t, err)
	var database string
	must(t, lease.Pool().QueryRow(t.Context(),
		"WITH n AS (INSERT INTO notes VALUES ('first')) SELECT current_database()").Scan(&database))
	if database != result.Tenant.Endpoint.Database || !strings.HasPrefix(database, f.config.Prefix) {
		t.Errorf("served by database %q, made %q", database, result.Tenant.Endpoint.Database)
	}
	lease.Release()
	if s, err := opened.Registry().Server(t.Context(), "main"); err != nil || s.Tenants != 1 {
		t.Errorf("the server: %+v, %v", s, err)
	}
	if status := probe(opened); status != http.StatusOK {
		t.Errorf("the probe answers %d", status)
	}
	must(t, opened.Close(pgtest.Context(t)))
	if err := opened.Check(t.Context()); err == nil {
		t.Error("ready after Close")
	}
	if n := f.routers(t); n != 0 {
		t.Errorf("%d processes have a share of the connections", n)
	}
	f.isQuiet(t, before)
}

// isQuiet waits until no session and no goroutine is left.
func (f *fixture) isQuiet(t *testing.T, goroutines int) {
	t.Helper()
	pgtest.Eventually(t, "no session is left", func() bool { return len(f.sessions(t)) == 0 })
	pgtest.Eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= goroutines })
}

func probe(f *fleet.Fleet) (status int) {
	w := httptest.NewRecorder()
	f.ReadyHandler().ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), "GET", "/readyz", nil))
	return w.Code
}

// TestProcessesOpenAtOnceAndHearOfEachOther opens four fleets, as processes that start together do.
func TestProcessesOpenAtOnceAndHearOfEachOther(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.config.Servers[0].MaxConns = 40
	fleets := make(chan *fleet.Fleet)
	for range 4 {
		go func() {
			opened, err := fleet.Open(t.Context(), f.config)
			if err != nil {
				t.Error(err)
			}
			fleets <- opened
		}()
	}
	var all [4]*fleet.Fleet
	for i := range all {
		all[i] = pgtest.Receive(t, "a fleet opens", fleets)
		if all[i] == nil {
			t.FailNow()
		}
		t.Cleanup(func() { must(t, all[i].Close(pgtest.Context(t))) })
	}
	_, err := all[0].Provisioner().Create(t.Context(), provision.Request{ID: "acme"})
	must(t, err)
	for _, opened := range all {
		pgtest.Eventually(t, "a process has connections", func() bool { return opened.Check(t.Context()) == nil })
		lease, err := opened.Resolver().Acquire(t.Context(), "acme")
		must(t, err)
		must(t, lease.Pool().Ping(t.Context()))
		lease.Release()
	}
	must(t, all[1].Provisioner().Suspend(t.Context(), "acme"))
	for _, opened := range all {
		pgtest.Eventually(t, "a process hears of the suspension", func() bool {
			lease, err := opened.Resolver().Acquire(t.Context(), "acme")
			if err == nil {
				lease.Release()
			}
			return errors.Is(err, tenancy.ErrSuspended)
		})
	}
}

func TestTheNextStartKeepsWhatAnOperatorHasSet(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	first := f.open(t)
	s, err := first.Registry().Server(t.Context(), "main")
	must(t, err)
	s.Weight, s.State = 9, registry.ServerDraining
	must(t, first.Registry().PutServer(t.Context(), s))
	must(t, first.Close(pgtest.Context(t)))
	now, err := f.open(t).Registry().Server(t.Context(), "main")
	must(t, err)
	if now.Weight != 9 || now.State != registry.ServerDraining {
		t.Errorf("after the next start: %+v", now)
	}
}

func TestHooksEditEachPartOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	edited := map[string]int{}
	opened := f.open(t, func(c *fleet.Config) {
		c.EditRegistry = func(r *registry.Config) { edited["registry"]++; r.Attributes = true }
		c.EditProvision = func(p *provision.Config) {
			edited["provision"]++
			if p.Registry == nil || p.Admins["main"] == nil {
				t.Error("provision.Config is not complete")
			}
			p.Seed = func(ctx context.Context, tx pgx.Tx, s provision.Seed) error {
				_, err := tx.Exec(ctx, "INSERT INTO notes VALUES ($1)", string(s.Tenant.ID))
				return err
			}
		}
		c.EditTenancy = func(c *tenancy.Config) {
			edited["tenancy"]++
			if !c.Fence || c.Base.ConnConfig.Password != "" || c.Bases["main"].ConnConfig.Password != "" {
				t.Error("tenants' pools begin without a fence, or with the administrator's password")
			}
			c.MaxConnsPerTenant = 1
		}
	})
	if len(edited) != 3 || edited["registry"]+edited["provision"]+edited["tenancy"] != 3 {
		t.Errorf("edited: %v", edited)
	}
	_, err := opened.Provisioner().Create(t.Context(), provision.Request{ID: "acme"})
	must(t, err)
	lease, err := opened.Resolver().Acquire(t.Context(), "acme")
	must(t, err)
	defer lease.Release()
	var seeded string
	must(t, lease.Pool().QueryRow(t.Context(), "SELECT text FROM notes").Scan(&seeded))
	if seeded != "acme" || lease.Pool().Config().MaxConns != 1 {
		t.Errorf("seed %q, %d connections", seeded, lease.Pool().Config().MaxConns)
	}
}
