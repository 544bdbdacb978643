package tenancytest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/middleware"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
	"github.com/pgtenancy/pgtenancy/tenancy/tenancytest"
)

// signUp is a handler of the tested service.
func signUp(p *provision.Provisioner) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		email, err := registry.ParseEmail(r.FormValue("email"))
		if err != nil {
			middleware.WriteProblem(w, r, err)
			return
		}
		result, err := p.Create(r.Context(), provision.Request{
			ID:           tenancy.ID(r.FormValue("id")),
			Organization: registry.Organization{Name: r.FormValue("name")}, Admin: registry.Admin{Email: email},
		})
		if err != nil {
			middleware.WriteProblem(w, r, err)
			return
		}
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, result.Tenant.ID)
	})
}

func post(t *testing.T, h http.Handler, form string) (int, string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return request(h, r)
}

func TestSignUp(t *testing.T) {
	t.Parallel()
	sys := tenancytest.NewSystem(t, tenancytest.SystemConfig{
		Config: notesConfig(),
		Provision: func(cfg *provision.Config) {
			cfg.Seed = func(ctx context.Context, tx pgx.Tx, _ provision.Seed) error {
				_, err := tx.Exec(ctx, "INSERT INTO notes (text) VALUES ('welcome')")
				return err
			}
		},
	})
	h := signUp(sys.Provisioner)
	if code, body := post(t, h, "id=acme&name=Acme&email=ann@example.org"); code != http.StatusCreated || body != "acme" {
		t.Fatalf("status %d: %s", code, body)
	}
	if code, notes := get(t, service(t, sys.Resolver), "acme"); code != http.StatusOK || notes != "welcome" {
		t.Errorf("status %d, notes %q", code, notes)
	}
	if code, body := post(t, h, "id=acme&name=Acme&email=bob@example.org"); code != http.StatusConflict {
		t.Errorf("status %d for an id that is taken: %s", code, body)
	}
}

func TestSignUpWhileTheServerIsDownLeavesNothing(t *testing.T) {
	t.Parallel()
	sys := tenancytest.NewSystem(t, tenancytest.SystemConfig{Config: notesConfig()})
	h := signUp(sys.Provisioner)
	sys.StopServer()
	if code, body := post(t, h, "id=acme&email=ann@example.org"); code != http.StatusServiceUnavailable {
		t.Errorf("status %d while the server is down: %s", code, body)
	}
	sys.HealServer()
	pgtest.Eventually(t, "the id comes free or the tenant is there", func() bool {
		_, err := sys.Registry.Lookup(t.Context(), "acme")
		return errors.Is(err, tenancy.ErrNotFound)
	})
	if code, body := post(t, h, "email=ann@example.org"); code != http.StatusCreated {
		t.Errorf("status %d once the server is back: %s", code, body)
	}
}

func TestFaultsOfASystemsTenant(t *testing.T) {
	t.Parallel()
	sys := tenancytest.NewSystem(t, tenancytest.SystemConfig{Config: notesConfig()})
	sys.Tenant(t, "acme")
	s := target{sys.Fleet, sys.Lookup(t, "acme"), service(t, sys.Resolver)}
	s.wants(t, http.StatusOK)

	s.acme.AddAlias(t, "Acme.example")
	if id, err := sys.Resolver.ResolveAlias(t.Context(), "Acme.example"); id != "acme" || err != nil {
		t.Errorf("the alias leads to %q, %v", id, err)
	}

	s.acme.Suspend(t)
	s.wants(t, http.StatusForbidden)
	s.acme.Resume(t)
	s.comesTo(t, http.StatusOK)

	s.acme.Fence(t)
	s.comesTo(t, http.StatusServiceUnavailable)
	if _, err := sys.Provisioner.Reconcile(t.Context()); err != nil { // which must not mend the fault
		t.Error(err)
	}
	s.wants(t, http.StatusServiceUnavailable)
	s.acme.Resume(t)
	s.comesTo(t, http.StatusOK)

	if n := s.acme.Terminate(t); n == 0 {
		t.Error("Terminate found no session")
	}
	s.comesTo(t, http.StatusOK)
	sys.EvictAll()
	s.comesTo(t, http.StatusOK)
}

func TestNothingOfASystemIsLeft(t *testing.T) {
	t.Parallel()
	var begun string
	t.Run("system", func(t *testing.T) {
		sys := tenancytest.NewSystem(t, tenancytest.SystemConfig{Config: notesConfig()})
		database := sys.Tenant(t).Database()
		begun = database[:strings.LastIndex(database, "_")+1]
		if names := tenancytest.Names(t, begun); len(names) < 4 { // database and role, template, group and owner
			t.Errorf("names %q while the system is there", names)
		}
	})
	if names := tenancytest.Names(t, begun); len(names) > 0 {
		t.Errorf("left after the end: %q", names)
	}
}

func TestSystemNeedsASchema(t *testing.T) {
	t.Parallel()
	got := reported(t, func(tb testing.TB) { tenancytest.NewSystem(tb, tenancytest.SystemConfig{}) })
	if !strings.Contains(got, "SystemConfig.Schema: required") {
		t.Errorf("the test reports %q", got)
	}
}

func TestUpgradeNeedsASchemaThatCan(t *testing.T) {
	t.Parallel()
	sys := tenancytest.NewSystem(t, tenancytest.SystemConfig{Config: notesConfig()})
	id := sys.Tenant(t).ID()
	_, err := sys.Provisioner.Upgrade(t.Context(), id, provision.Policy{Force: true})
	if err == nil || !strings.Contains(err.Error(), "give a provision.Schema") {
		t.Errorf("Upgrade with a schema of SQL: %v", err)
	}
}
