package catalog_test

import (
	"testing"
	"time"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

func TestABrokenRowKeepsNobodyFromTheOtherClaims(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, id := range []string{"broken", "whole"} {
		f.reserve(t, id)
		f.expire(t, tenancy.ID(id))
	}
	f.exec(t, `UPDATE pgtenancy.tenants SET password = '\x00' WHERE id = 'broken'`)
	claims, err := f.ClaimAbandoned(t.Context(), "reconciler", time.Hour, 10)
	if err == nil {
		t.Error("no error tells of the broken row")
	}
	if len(claims) != 1 || claims[0].Tenant.ID != "whole" || claims[0].Attempt != 2 {
		t.Fatalf("claimed %v, want the whole one", claims)
	}
	const unclaimed = `pgtenancy.tenants WHERE claim_owner = '' AND attempt = 1
		AND claim_expires > now() + interval '50 minutes'`
	if n := f.count(t, unclaimed); n != 1 {
		t.Errorf("%d broken rows are unclaimed and put off, want 1", n)
	}
	claims, err = f.ClaimAbandoned(t.Context(), "reconciler", time.Hour, 10)
	if len(claims) != 0 || err != nil {
		t.Errorf("at once again: claimed %v, %v", claims, err)
	}
}

func TestABrokenRowIsListedWithoutWhatDoesNotOpen(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, id := range []string{"a", "b", "c"} {
		f.active(t, id)
	}
	f.exec(t, `UPDATE pgtenancy.tenants SET password = '\x00' WHERE id = 'b'`)
	f.exec(t, `UPDATE pgtenancy.organizations SET email = '\x00' WHERE id = 'c'`)
	tenants, err := f.Tenants(t.Context(), "", 10)
	if err == nil || len(tenants) != 3 {
		t.Fatalf("%d tenants, %v; want all 3 and an error", len(tenants), err)
	}
	a, b, c := tenants[0], tenants[1], tenants[2]
	if a.Endpoint.Password.IsZero() || !b.Endpoint.Password.IsZero() || c.Endpoint.Password.IsZero() {
		t.Error("want every password but b's")
	}
	if b.Endpoint.Database != "tenant_b" || b.Server.Name != "s1" || b.Organization.Email.IsZero() ||
		!c.Organization.Email.IsZero() {
		t.Error("what was not broken is missing")
	}
	if got, err := f.Lookup(t.Context(), "b"); err == nil || got != (tenancy.Tenant{}) {
		t.Errorf("Lookup: %v, %v; want an error alone", got, err)
	}
}
