package catalog_test

import (
	"errors"
	"testing"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

func TestEveryChangeRaisesTheEpochAndIsWrittenDown(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id := f.active(t, "acme")
	for i, change := range []func() error{
		func() error { return f.Suspend(t.Context(), id) },
		func() error { return f.Resume(t.Context(), id) },
		func() error { return f.SetPassword(t.Context(), id, tenancy.NewSecret("new")) },
		func() error {
			return f.PutServer(t.Context(), registry.Server{Name: "s1", Host: "db1b.internal", Port: 5433})
		},
		func() error {
			return f.PutServer(t.Context(), registry.Server{
				Name: "s1", Host: "db1b.internal", Port: 5433, PooledHost: "pool1.internal", PooledPort: 6432,
			})
		},
	} {
		must(t, change())
		got := f.lookup(t, id)
		if want := int64(3 + i); got.Epoch != want {
			t.Errorf("change %d: epoch %d, want %d", i, got.Epoch, want)
		}
		if n := f.count(t, `pgtenancy.changes c JOIN pgtenancy.feed f USING (version)
			WHERE c.tenant_id = $1 AND c.epoch = $2`, id, got.Epoch); n != 1 {
			t.Errorf("change %d is not the newest in the feed", i)
		}
	}
	got := f.lookup(t, id)
	if got.Endpoint.Host != "pool1.internal" || got.Endpoint.Port != 6432 || !got.Endpoint.Pooled ||
		got.Endpoint.Password.Reveal() != "new" {
		t.Errorf("endpoint %s:%d", got.Endpoint.Host, got.Endpoint.Port)
	}
	full, err := f.Tenant(t.Context(), id)
	must(t, err)
	if full.Server.Host != "db1b.internal" || full.Server.Port != 5433 {
		t.Errorf("direct endpoint %s:%d", full.Server.Host, full.Server.Port)
	}
}

func TestWhatRoutersNeedNotSeeLeavesTheEpoch(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id := f.active(t, "acme")
	must(t, f.Resume(t.Context(), id)) // it is active already
	must(t, f.SetSchemaHash(t.Context(), id, "hash", "newer"))
	must(t, f.SetBillingCustomer(t.Context(), id, "cus_1"))
	must(t, f.PutServer(t.Context(), registry.Server{Name: "s1", Host: "db1.internal", Port: 5432, Capacity: 7}))
	got, err := f.Tenant(t.Context(), id)
	must(t, err)
	if got.Epoch != 2 || got.SchemaHash != "newer" || got.Organization.BillingCustomer != "cus_1" ||
		got.Server.Capacity != 7 || got.Server.Tenants != 1 {
		t.Errorf("epoch %d, hash %q, customer %q, server %+v", got.Epoch, got.SchemaHash,
			got.Organization.BillingCustomer, got.Server)
	}
}

func TestAStateThatForbidsTheChangeIsAConflict(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.reserve(t, "acme")
	for name, change := range map[string]func(tenancy.ID) error{
		"Suspend":     func(id tenancy.ID) error { return f.Suspend(t.Context(), id) },
		"Resume":      func(id tenancy.ID) error { return f.Resume(t.Context(), id) },
		"SetPassword": func(id tenancy.ID) error { return f.SetPassword(t.Context(), id, tenancy.NewSecret("new")) },
	} {
		if err := change("acme"); !errors.Is(err, registry.ErrConflict) {
			t.Errorf("%s of a provisioning tenant: %v, want ErrConflict", name, err)
		}
		if err := change("nobody"); !errors.Is(err, tenancy.ErrNotFound) {
			t.Errorf("%s of nobody: %v, want tenancy.ErrNotFound", name, err)
		}
	}
	if err := f.SetSchemaHash(t.Context(), "nobody", "", "h"); !errors.Is(err, tenancy.ErrNotFound) {
		t.Errorf("SetSchemaHash of nobody: %v", err)
	}
	if err := f.RenewConnections(t.Context(), "nobody"); !errors.Is(err, tenancy.ErrNotFound) {
		t.Errorf("RenewConnections of nobody: %v", err)
	}
	if err := f.SetBillingCustomer(t.Context(), "nobody", "c"); !errors.Is(err, tenancy.ErrNotFound) {
		t.Errorf("SetBillingCustomer of nobody: %v", err)
	}
}

// TestSchemaHashIsSetByWhoKnowsTheOneBefore guards the stamp against a process that was stopped before it gave one.
func TestSchemaHashIsSetByWhoKnowsTheOneBefore(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id := f.active(t, "acme")
	must(t, f.SetSchemaHash(t.Context(), id, "hash", "mine"))
	if err := f.SetSchemaHash(t.Context(), id, "hash", "theirs"); !errors.Is(err, registry.ErrConflict) {
		t.Errorf("over another stamp than was read: %v, want ErrConflict", err)
	}
	if got := f.lookup(t, id).SchemaHash; got != "mine" {
		t.Errorf("stamped %q", got)
	}
}

func TestSchemaHashIsClaimedUntilActivation(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	c := f.reserve(t, "acme")
	must(t, f.ClaimSchemaHash(t.Context(), c, "newer"))
	got, err := f.Tenant(t.Context(), "acme")
	must(t, err)
	if got.SchemaHash != "newer" || c.Tenant.SchemaHash != "newer" {
		t.Errorf("stamped %q, the claim says %q", got.SchemaHash, c.Tenant.SchemaHash)
	}
	must(t, f.Activate(t.Context(), c))
	if err := f.ClaimSchemaHash(t.Context(), c, "late"); !errors.Is(err, catalog.ErrClaimLost) {
		t.Errorf("an active tenant's: %v, want ErrClaimLost", err)
	}
}

func TestUnknownTenantsAreNotFound(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, id := range []tenancy.ID{"", "nobody", "Bad ID", "nul\x00", "\xff"} {
		if _, err := f.Lookup(t.Context(), id); !errors.Is(err, tenancy.ErrNotFound) {
			t.Errorf("Lookup(%q): %v, want tenancy.ErrNotFound", id, err)
		}
		if _, err := f.Tenant(t.Context(), id); !errors.Is(err, tenancy.ErrNotFound) {
			t.Errorf("Tenant(%q): %v, want tenancy.ErrNotFound", id, err)
		}
	}
}

func TestASealedPasswordMovedToAnotherTenantDoesNotOpen(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.active(t, "acme")
	f.active(t, "evil")
	f.exec(t, `UPDATE pgtenancy.tenants SET password = (SELECT password FROM pgtenancy.tenants WHERE id = 'acme')
		WHERE id = 'evil'`)
	if _, err := f.Lookup(t.Context(), "evil"); err == nil || errors.Is(err, tenancy.ErrNotFound) {
		t.Errorf("Lookup: %v, want an error that is not ErrNotFound", err)
	}
}

func TestStepsAreListedAsTheyWereBegun(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	c := f.reserve(t, "acme")
	for _, s := range []catalog.Step{
		{Name: "dns", State: catalog.StepBegun},
		{Name: "billing", State: catalog.StepBegun},
		{Name: "dns", State: catalog.StepDone, Result: "record 7"},
	} {
		must(t, f.PutStep(t.Context(), c, s))
	}
	if err := f.PutStep(t.Context(), c, catalog.Step{Name: "x", State: "odd"}); err == nil {
		t.Error("an unknown state was accepted")
	}
	steps, err := f.Steps(t.Context(), "acme")
	must(t, err)
	if len(steps) != 2 || steps[0] != (catalog.Step{Name: "dns", State: catalog.StepDone, Result: "record 7"}) ||
		steps[1] != (catalog.Step{Name: "billing", State: catalog.StepBegun}) {
		t.Errorf("steps %v", steps)
	}
}

func TestSetAdminPasswordComparesFirst(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.active(t, "acme")
	must(t, f.SetAdminPassword(t.Context(), "admin-acme", "$argon2id$acme", "$new"))
	if err := f.SetAdminPassword(t.Context(), "admin-acme", "$argon2id$acme",
		"$x"); !errors.Is(err, registry.ErrConflict) {
		t.Errorf("stale hash: %v, want ErrConflict", err)
	}
	if err := f.SetAdminPassword(t.Context(), "nobody", "", ""); !errors.Is(err, registry.ErrAdminNotFound) {
		t.Errorf("unknown admin: %v, want ErrAdminNotFound", err)
	}
	a, err := f.Admin(t.Context(), "admin-acme")
	must(t, err)
	if a.PasswordHash != "$new" || a.Email.Reveal() != "acme@example.com" || a.Role != "PRIMARY" {
		t.Errorf("admin %q, role %q", a.ID, a.Role)
	}
	if _, err := f.Admin(t.Context(), "nobody"); !errors.Is(err, registry.ErrAdminNotFound) {
		t.Errorf("Admin: %v", err)
	}
	if members, err := f.TenantsByEmail(t.Context(), email(t, "stranger@example.com")); err != nil || len(members) != 0 {
		t.Errorf("stranger: %d memberships, %v", len(members), err)
	}
}
