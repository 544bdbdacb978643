package tenancytest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/tenancy"
	"github.com/pgtenancy/pgtenancy/tenancy/tenancytest"
)

func TestHandlerSeesTheRowsOfItsTenant(t *testing.T) {
	t.Parallel()
	fleet := tenancytest.New(t, tenancytest.Config{Schema: tenancytest.SQL(notesTable)})
	acme, globex := fleet.Tenant(t, "acme"), fleet.Tenant(t, "globex")
	acme.Exec(t, "INSERT INTO notes (text) VALUES ($1)", "buy milk")

	for tenant, want := range map[*tenancytest.Tenant]string{acme: "buy milk", globex: ""} {
		w := httptest.NewRecorder()
		listNotes(w, httptest.NewRequestWithContext(tenant.Context(t), "GET", "/notes", nil))
		if w.Code != http.StatusOK || w.Body.String() != want {
			t.Errorf("%v: status %d, notes %q, want %q", tenant, w.Code, w.Body, want)
		}
	}
}

func TestIDCanBeUsedAgain(t *testing.T) {
	t.Parallel()
	fleet := tenancytest.New(t, notesConfig())
	h := service(t, fleet.Resolver)
	var databases []string
	for round := range 3 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			if code, _ := get(t, h, "acme"); code != http.StatusNotFound { // which the resolver remembers
				t.Errorf("status %d before the tenant is there", code)
			}
			acme := fleet.Tenant(t, "acme")
			databases = append(databases, acme.Database())
			if code, notes := get(t, h, "acme"); code != http.StatusOK || notes != "" {
				t.Errorf("status %d, notes %q", code, notes)
			}
			code, _ := request(h, httptest.NewRequestWithContext(t.Context(), "POST", "/acme/notes?text=x", nil))
			if code != http.StatusCreated {
				t.Errorf("status %d for a new note", code)
			}
		})
	}
	if left := tenancytest.Names(t, databases[0]); slices.Contains(left, databases[0]) {
		t.Errorf("database %q is left after the end of its test", databases[0])
	}
	if slices.Sort(databases); len(slices.Compact(databases)) != 3 {
		t.Errorf("databases %q, want 3", databases)
	}
}

func TestFleetsDoNotSeeEachOther(t *testing.T) {
	t.Parallel()
	for i := range 8 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			fleet := tenancytest.New(t, notesConfig())
			acme := fleet.Tenant(t, "acme")
			text := fmt.Sprint("of ", i)
			acme.Exec(t, "INSERT INTO notes (text) VALUES ($1)", text)
			if _, notes := get(t, service(t, fleet.Resolver), "acme"); notes != text {
				t.Errorf("notes %q, want %q", notes, text)
			}
		})
	}
}

func TestAliasLeadsToItsTenantUntilTheEnd(t *testing.T) {
	t.Parallel()
	fleet := tenancytest.New(t, notesConfig())
	const host = "notes.acme.example"
	resolve := func(t *testing.T) (tenancy.ID, error) {
		t.Helper()
		return fleet.Resolver.ResolveAlias(t.Context(), host)
	}
	for _, id := range []tenancy.ID{"acme", "globex"} {
		t.Run(string(id), func(t *testing.T) {
			if got, err := resolve(t); !errors.Is(err, tenancy.ErrNotFound) { // which the resolver remembers
				t.Errorf("before: %q, %v", got, err)
			}
			fleet.Tenant(t, id).AddAlias(t, host)
			if got, err := resolve(t); got != id || err != nil {
				t.Errorf("the alias leads to %q, %v, want %q", got, err, id)
			}
		})
	}
	got := reported(t, func(tb testing.TB) {
		fleet.Tenant(tb, "one").AddAlias(tb, host)
		fleet.Tenant(tb, "two").AddAlias(tb, host)
	})
	if want := `add alias of tenant "two": tenant "one" has it`; !strings.Contains(got, want) {
		t.Errorf("the test reports %q, want %q", got, want)
	}
}

func TestTenantsWithoutAnIDGetOne(t *testing.T) {
	t.Parallel()
	fleet := tenancytest.New(t, tenancytest.Config{})
	fleet.Tenant(t, "t2")
	seen := map[tenancy.ID]bool{"t2": true}
	for range 3 {
		id := fleet.Tenant(t).ID()
		if seen[id] || !id.Valid() {
			t.Errorf("made-up id %q", id)
		}
		seen[id] = true
	}
}

// Where a handler may do more in its test than in production, the test proves little.
func TestTenantCannotChangeTheSchema(t *testing.T) {
	t.Parallel()
	change := func(t *testing.T, cfg tenancytest.Config) error {
		t.Helper()
		tenant := tenancytest.New(t, cfg).Tenant(t)
		pool := tenant.Lease(t).Pool()
		if _, err := pool.Exec(t.Context(), "INSERT INTO notes (text) VALUES ('x')"); err != nil {
			t.Errorf("insert: %v", err)
		}
		_, err := pool.Exec(t.Context(), "ALTER TABLE notes ADD COLUMN author text; CREATE TABLE more (id int)")
		return err
	}
	cfg := notesConfig()
	if err := change(t, cfg); pgerr.State(err) != pgerr.InsufficientPrivilege {
		t.Errorf("a tenant changes the schema: %v", err)
	}
	cfg.TenantOwns = true
	if err := change(t, cfg); err != nil {
		t.Errorf("a tenant that owns its database changes the schema: %v", err)
	}
}

func TestUnreleasedLeaseFailsTheTest(t *testing.T) {
	t.Parallel()
	var lease *tenancy.Lease
	got := reported(t, func(tb testing.TB) {
		fleet := tenancytest.New(tb, notesConfig())
		var err error
		if lease, err = fleet.Resolver.Acquire(context.WithoutCancel(tb.Context()), fleet.Tenant(tb).ID()); err != nil {
			tb.Fatal(err)
		}
	})
	if !strings.Contains(got, "a lease was not released") {
		t.Errorf("the test reports %q", got)
	}
	lease.Release()
}

func TestMistakesOfATestEndIt(t *testing.T) {
	t.Parallel()
	for want, f := range map[string]func(tb testing.TB, fleet *tenancytest.Fleet){
		`make tenant "acme": the fleet has a tenant of this id`: func(tb testing.TB, fleet *tenancytest.Fleet) {
			fleet.Tenant(tb, "acme")
			fleet.Tenant(tb, "acme")
		},
		`make tenant "no/id": tenancy: invalid tenant id`: func(tb testing.TB, fleet *tenancytest.Fleet) {
			fleet.Tenant(tb, "no/id")
		},
		"2 ids, want one at most": func(tb testing.TB, fleet *tenancytest.Fleet) { fleet.Tenant(tb, "a", "b") },
		`look up tenant "acme": tenancy: tenant not found`: func(tb testing.TB, fleet *tenancytest.Fleet) {
			fleet.Lookup(tb, "acme")
		},
		`relation "no_such" does not exist`: func(tb testing.TB, fleet *tenancytest.Fleet) {
			fleet.Tenant(tb).Exec(tb, "SELECT FROM no_such")
		},
	} {
		got := reported(t, func(tb testing.TB) {
			f(tb, tenancytest.New(tb, notesConfig()))
			tb.Fatal("the test goes on")
		})
		if !strings.Contains(got, want) {
			t.Errorf("the test reports %q, want %q", got, want)
		}
	}
}

func TestAdminMayDoWhatATenantMayNot(t *testing.T) {
	t.Parallel()
	acme := tenancytest.New(t, notesConfig()).Tenant(t)
	conn, err := pgx.ConnectConfig(t.Context(), acme.Admin())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	var database string
	err = conn.QueryRow(t.Context(), "ALTER TABLE notes ADD COLUMN author text").Scan()
	if err != nil && err != pgx.ErrNoRows {
		t.Error(err)
	}
	if err := conn.QueryRow(t.Context(), "SELECT current_database()").Scan(&database); err != nil {
		t.Error(err)
	}
	if database != acme.Database() {
		t.Errorf("the administrator is in %q, want %q", database, acme.Database())
	}
}
