package catalog_test

import (
	"testing"
	"time"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Two sign-ups with every string over one memory, which is used again while their claims are held.
func TestClaimsSessionsAndAdmissionsKeepNoStringOfTheirCallers(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var memory pgtest.Reused
	reserve := func(name string) *catalog.Claim {
		plain := reservation(t, name)
		res, err := registry.ParseEmail(memory.String(name + "@example.com"))
		must(t, err)
		plain.Admin.Email = res
		plain.Password = tenancy.NewSecret(memory.String("db password of " + name))
		for _, s := range []*string{
			(*string)(&plain.ID), &plain.Database, &plain.Role, &plain.SchemaHash, &plain.Organization.Name,
			&plain.Admin.ID, &plain.Admin.PasswordHash, &plain.Owner,
		} {
			*s = memory.String(*s)
		}
		c, err := f.Reserve(t.Context(), plain)
		must(t, err)
		clear(plain.Data)
		memory.Next()
		return c
	}
	claims := map[string]*catalog.Claim{"aa": reserve("aa"), "bb": reserve("bb")}
	for name, c := range claims {
		want := reservation(t, name)
		got := c.Tenant
		if got.ID != want.ID || got.Endpoint.Database != want.Database || got.Endpoint.User != want.Role ||
			got.Endpoint.Password != want.Password || got.Organization.Name != want.Organization.Name ||
			c.Admin.ID != want.Admin.ID || c.Admin.Email != want.Admin.Email || c.Owner != want.Owner ||
			string(c.Data) != string(want.Data) {
			t.Errorf("the claim of %q is of %q, %+v", name, got.ID, got.Endpoint)
		}
		must(t, f.Activate(t.Context(), c))
	}
	session, _, err := f.OpenSession(t.Context(), catalog.SessionRequest{
		TenantID: tenancy.ID(memory.String("aa")),
		AdminID:  memory.String("admin-aa"), TTL: time.Hour,
	})
	must(t, err)
	memory.Next()
	if session.TenantID != "aa" || session.AdminID != "admin-aa" {
		t.Errorf("the session of aa is %+v", session)
	}

	// A home that was made known under a name which has changed meanwhile.
	home := at("home", memory.String("192.0.2.1"))
	adm := f.attempt(t, catalog.Attempt{Home: home, Counts: []catalog.Count{account(t, "x@example.com")}})
	memory.Next()
	must(t, f.AttemptSucceeded(t.Context(), adm))
	var known int
	must(t, f.pool.QueryRow(t.Context(), `SELECT count(*) FROM pgtenancy.throttles WHERE known`).Scan(&known))
	from := f.attempt(t, catalog.Attempt{
		Home:   at("home", "192.0.2.1"),
		Counts: []catalog.Count{account(t, "x@example.com")},
	})
	must(t, f.AttemptSucceeded(t.Context(), from))
	var after int
	must(t, f.pool.QueryRow(t.Context(), `SELECT count(*) FROM pgtenancy.throttles WHERE known`).Scan(&after))
	if known != 1 || after != 1 {
		t.Errorf("%d and then %d homes are known, want the one", known, after)
	}
}
