package tenancytest_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/tenancy"
	"github.com/pgtenancy/pgtenancy/tenancy/tenancytest"
)

// A handler's test: a tenant, a request with its lease, an answer.
func ExampleNew() {
	_ = func(t *testing.T) {
		fleet := tenancytest.New(t, tenancytest.Config{Schema: tenancytest.Files(os.DirFS("schema"), "*.sql")})
		acme := fleet.Tenant(t, "acme")
		acme.Exec(t, "INSERT INTO notes (text) VALUES ($1)", "buy milk")

		w := httptest.NewRecorder()
		listNotes(w, httptest.NewRequestWithContext(acme.Context(t), http.MethodGet, "/notes", nil))
		if w.Code != http.StatusOK || w.Body.String() != "buy milk" {
			t.Errorf("status %d, notes %q", w.Code, w.Body)
		}
	}
}

// A sign-up's test: the provisioner of the system is the one that the handler gets.
func ExampleNewSystem() {
	_ = func(t *testing.T) {
		sys := tenancytest.NewSystem(t, tenancytest.SystemConfig{
			Config: tenancytest.Config{Schema: tenancytest.Files(os.DirFS("schema"), "*.sql")},
			Provision: func(cfg *provision.Config) {
				cfg.Seed = func(ctx context.Context, tx pgx.Tx, _ provision.Seed) error {
					_, err := tx.Exec(ctx, "INSERT INTO notes (text) VALUES ('welcome')")
					return err
				}
			},
		})
		signUp(sys.Provisioner).ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(),
			http.MethodPost, "/?id=acme&email=ann@example.org", nil))
		acme := sys.Lookup(t, "acme") // or the test ends
		w := httptest.NewRecorder()
		listNotes(w, httptest.NewRequestWithContext(acme.Context(t), http.MethodGet, "/notes", nil))
		if w.Body.String() != "welcome" {
			t.Errorf("notes of a new tenant: %q", w.Body)
		}
	}
}

// A migration tool makes the template once; every tenant is a copy.
func ExampleMigrations() {
	migrate := func(_ context.Context, _ *pgx.ConnConfig) error {
		return nil // stdlib.OpenDB(*cfg), goose.NewProvider(…).Up(ctx), Close
	}
	_ = tenancytest.Config{Schema: tenancytest.Migrations(os.DirFS("migrations"), migrate)}
}

// A tenant is suspended while its user waits for events.
func ExampleTenant_Suspend() {
	_ = func(t *testing.T) {
		acme := tenancytest.New(t, tenancytest.Config{}).Tenant(t)
		lease := acme.Lease(t)
		acme.Suspend(t)
		<-lease.Done()
		if !errors.Is(lease.Err(), tenancy.ErrSuspended) {
			t.Error(lease.Err())
		}
	}
}
