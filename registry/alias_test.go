package registry_test

import (
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

func TestTenantIsFoundByItsAliases(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	acme, globex := f.active(t, "acme"), f.active(t, "globex")
	aliases := []string{
		"0193F0A2-7F2B-7C3D-8E4F-AABBCCDDEEFF", "acme.example.com", "münchen.example", "org_2abcDEFghiJKL",
		strings.Repeat("x", tenancy.MaxAliasLength),
	}
	for _, a := range aliases {
		must(t, f.AddAlias(t.Context(), acme, a))
		must(t, f.AddAlias(t.Context(), acme, a))
		if err := f.AddAlias(t.Context(), globex, a); !errors.Is(err, registry.ErrAliasTaken) {
			t.Errorf("%q for another tenant: %v", a, err)
		}
		if id, err := f.LookupAlias(t.Context(), a); id != acme || err != nil {
			t.Errorf("%q stands for %q, %v", a, id, err)
		}
	}
	got, err := f.Aliases(t.Context(), acme)
	must(t, err)
	if diff := cmp.Diff(len(aliases), len(got)); diff != "" {
		t.Errorf("aliases %q", got)
	}
	for _, a := range []string{"", "a\x00b", "\xff", strings.Repeat("x", tenancy.MaxAliasLength+1)} {
		if err := f.AddAlias(t.Context(), acme, a); !errors.Is(err, registry.ErrInvalidAlias) {
			t.Errorf("%q: %v", a, err)
		}
		if _, err := f.LookupAlias(t.Context(), a); !errors.Is(err, tenancy.ErrNotFound) {
			t.Errorf("look-up of %q: %v", a, err)
		}
	}
	if err := f.AddAlias(t.Context(), "nobody", "n"); !errors.Is(err, tenancy.ErrNotFound) {
		t.Errorf("an unknown tenant: %v", err)
	}
	must(t, f.RemoveAlias(t.Context(), globex, "acme.example.com")) // not its own
	must(t, f.RemoveAlias(t.Context(), acme, "org_2abcDEFghiJKL"))
	must(t, f.AddAlias(t.Context(), globex, "org_2abcDEFghiJKL"))
	f.exec(t, `UPDATE pgtenancy.tenants SET state = 'deleting', claim_owner = '', claim_expires = now() WHERE id = 'acme'`)
	claims, err := f.ClaimAbandoned(t.Context(), "owner", 1e9, 1)
	must(t, err)
	must(t, f.Forget(t.Context(), claims[0]))
	must(t, f.AddAlias(t.Context(), globex, "acme.example.com")) // free again
}

func TestRoutersForgetAnAliasThatMoves(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	acme, globex := f.active(t, "acme"), f.active(t, "globex")
	base, err := pgxpool.ParseConfig("host=127.0.0.1 user=app sslmode=disable")
	must(t, err)
	r, err := tenancy.New(tenancy.Config{Directory: f.Registry, Base: base, TTL: -1, NotFoundTTL: 1e18})
	must(t, err)
	t.Cleanup(func() { _ = r.Close(t.Context()) })
	f.tell(t, r)
	is := func(want tenancy.ID) func() bool {
		return func() bool { id, _ := r.ResolveAlias(t.Context(), "a.example"); return id == want }
	}
	if !is("")() {
		t.Error("there before it was given")
	}
	must(t, f.AddAlias(t.Context(), acme, "a.example"))
	pgtest.Eventually(t, "the alias is known", is(acme))
	must(t, f.RemoveAlias(t.Context(), acme, "a.example"))
	pgtest.Eventually(t, "the alias is gone", is(""))
	must(t, f.AddAlias(t.Context(), globex, "a.example"))
	pgtest.Eventually(t, "the alias is another tenant's", is(globex))
	f.exec(t, `UPDATE pgtenancy.tenants SET state = 'deleting', claim_owner = '', claim_expires = now()
		WHERE id = 'globex'`)
	claims, err := f.ClaimAbandoned(t.Context(), "owner", 1e9, 1)
	must(t, err)
	must(t, f.Forget(t.Context(), claims[0]))
	pgtest.Eventually(t, "the alias is gone with its tenant", is(""))
}

func TestOneOfManyGetsAnAlias(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ids := []tenancy.ID{f.active(t, "a"), f.active(t, "b"), f.active(t, "c"), f.active(t, "d")}
	var mu sync.Mutex
	var won []tenancy.ID
	for i, err := range concurrently(len(ids), func(i int) error { return f.AddAlias(t.Context(), ids[i], "alias") }) {
		mu.Lock()
		if err == nil {
			won = append(won, ids[i])
		} else if !errors.Is(err, registry.ErrAliasTaken) {
			t.Errorf("%s: %v", ids[i], err)
		}
		mu.Unlock()
	}
	if owner, err := f.LookupAlias(t.Context(), "alias"); err != nil || len(won) != 1 || won[0] != owner {
		t.Errorf("%v won, and it is %q's, %v", won, owner, err)
	}
}

func TestLabelsAndAttributesAreKept(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(_ *pgxpool.Config, cfg *registry.Config) { cfg.Attributes = true })
	id := f.active(t, "acme")
	want := map[string]string{"plan": "free", "ring": ""}
	must(t, f.SetLabels(t.Context(), id, want))
	got, err := f.Tenant(t.Context(), id)
	must(t, err)
	if diff := cmp.Diff(want, got.Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	for _, bad := range []map[string]string{
		{"": "x"}, {strings.Repeat("k", 64): ""}, {"k": strings.Repeat("v", 256)}, {"k": "\x00"},
	} {
		if err := f.SetLabels(t.Context(), id, bad); !errors.Is(err, registry.ErrInvalidLabel) {
			t.Errorf("%v: %v", bad, err)
		}
	}
	before := f.lookup(t, id)
	must(t, f.SetAttributes(t.Context(), id, map[string]any{"seats": 12, "key": "s3cr3t"}))
	after := f.lookup(t, id)
	if after.Epoch != before.Epoch+1 || after.Attributes.Reveal() != `{"key":"s3cr3t","seats":12}` {
		t.Errorf("epoch %d after %d, attributes of %d bytes", after.Epoch, before.Epoch, len(after.Attributes.Reveal()))
	}
	doc, err := f.Attributes(t.Context(), id)
	must(t, err)
	if !json.Valid(doc) || strings.Contains(string(f.dump(t)), "s3cr3t") {
		t.Error("the document is not sealed JSON")
	}
	if err := f.SetAttributes(t.Context(), id, strings.Repeat("x", 16<<10)); err == nil {
		t.Error("a document that is too long")
	}
	must(t, f.SetAttributes(t.Context(), id, nil))
	if got := f.lookup(t, id); !got.Attributes.IsZero() {
		t.Error("attributes stay after their removal")
	}
	for _, err := range []error{f.SetLabels(t.Context(), "x", nil), f.SetAttributes(t.Context(), "x", nil)} {
		if !errors.Is(err, tenancy.ErrNotFound) {
			t.Errorf("an unknown tenant: %v", err)
		}
	}
}
