package tenancytest_test

// The Go code of docs/testing.md, which is this file's, line for line.

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/tenancy"
	"github.com/pgtenancy/pgtenancy/tenancy/tenancytest"
)

// schemaFS is the schema of the service.
var schemaFS = fstest.MapFS{"notes.sql": {Data: []byte(notesTable)}}

func TestListNotes(t *testing.T) {
	fleet := tenancytest.New(t, tenancytest.Config{Schema: tenancytest.Files(schemaFS, "*.sql")})
	acme := fleet.Tenant(t, "acme")
	acme.Exec(t, "INSERT INTO notes (text) VALUES ('buy milk')")

	w := httptest.NewRecorder()
	listNotes(w, httptest.NewRequestWithContext(acme.Context(t), "GET", "/notes", nil))
	if w.Code != http.StatusOK || w.Body.String() != "buy milk" {
		t.Errorf("status %d, notes %q", w.Code, w.Body)
	}
}

func TestNotesOfAnotherTenant(t *testing.T) {
	fleet := tenancytest.New(t, tenancytest.Config{Schema: tenancytest.Files(schemaFS, "*.sql")})
	fleet.Tenant(t, "acme").Exec(t, "INSERT INTO notes (text) VALUES ('buy milk')")
	fleet.Tenant(t, "globex")

	w := httptest.NewRecorder()
	service(t, fleet.Resolver).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/globex/notes", nil))
	if w.Code != http.StatusOK || w.Body.String() != "" {
		t.Errorf("status %d, notes of another tenant: %q", w.Code, w.Body)
	}
}

func TestNewTenantHasAWelcome(t *testing.T) {
	sys := tenancytest.NewSystem(t, tenancytest.SystemConfig{
		Config:    tenancytest.Config{Schema: tenancytest.Files(schemaFS, "*.sql")},
		Provision: func(cfg *provision.Config) { cfg.Seed = welcome },
	})
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), "POST", "/?id=acme&email=ann@example.org", nil)
	signUp(sys.Provisioner).ServeHTTP(w, r)
	if w.Code != http.StatusCreated {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}

	w = httptest.NewRecorder()
	listNotes(w, httptest.NewRequestWithContext(sys.Lookup(t, "acme").Context(t), "GET", "/notes", nil))
	if w.Body.String() != "welcome" {
		t.Errorf("notes %q", w.Body)
	}
}

func TestStreamEndsWithASuspension(t *testing.T) {
	fleet := tenancytest.New(t, tenancytest.Config{Schema: tenancytest.Files(schemaFS, "*.sql")})
	acme := fleet.Tenant(t, "acme")
	lease := acme.Lease(t)

	acme.Suspend(t)
	<-lease.Done()
	if err := lease.Err(); !errors.Is(err, tenancy.ErrSuspended) {
		t.Errorf("the lease ends with %v", err)
	}
}

func TestSlowDatabaseIsGivenUp(t *testing.T) {
	fleet := tenancytest.New(t, tenancytest.Config{Schema: tenancytest.Files(schemaFS, "*.sql")})
	acme := fleet.Tenant(t, "acme")
	ctx, cancel := context.WithTimeout(acme.Context(t), 50*time.Millisecond)
	defer cancel()

	fleet.HangServer()
	w := httptest.NewRecorder()
	listNotes(w, httptest.NewRequestWithContext(ctx, "GET", "/notes", nil))
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("status %d, want 503 when the time-out is over", w.Code)
	}
}

// welcome is a provision.Config.Seed.
func welcome(ctx context.Context, tx pgx.Tx, _ provision.Seed) error {
	_, err := tx.Exec(ctx, "INSERT INTO notes (text) VALUES ('welcome')")
	return err
}

func TestPageHasTheCodeOfThisFile(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/testing.md")
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile("page_test.go")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	if len(blocks) < 4 {
		t.Errorf("the page has %d blocks of code", len(blocks))
	}
	for _, block := range blocks {
		if !strings.Contains(string(code), "\n"+block[1]) {
			t.Errorf("the page has code that does not run:\n%s", block[1])
		}
	}
}
