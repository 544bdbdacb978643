package catalog_test

import (
	"errors"
	"testing"
	"time"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

func TestDeleteForgetsEverythingButTheID(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id := f.active(t, "acme")
	_, _, err := f.OpenSession(t.Context(), catalog.SessionRequest{TenantID: id, AdminID: "admin-acme", TTL: time.Hour})
	must(t, err)
	c, err := f.BeginDelete(t.Context(), id, "deleter", time.Minute)
	must(t, err)
	must(t, f.PutStep(t.Context(), c, catalog.Step{Name: "billing", State: catalog.StepUndone}))
	if got := f.lookup(t, id); got.State != tenancy.Deleting || got.Epoch != 3 || c.Attempt != 2 {
		t.Errorf("state %s, epoch %d, attempt %d", got.State, got.Epoch, c.Attempt)
	}
	must(t, f.Forget(t.Context(), c))
	if _, err := f.Lookup(t.Context(), id); !errors.Is(err, tenancy.ErrNotFound) {
		t.Errorf("Lookup: %v, want tenancy.ErrNotFound", err)
	}
	for _, table := range []string{"tenants", "organizations", "admins", "admin_email_index", "sessions", "steps"} {
		if n := f.count(t, "pgtenancy."+table); n != 0 {
			t.Errorf("%d rows left in %s", n, table)
		}
	}
	s, err := f.Server(t.Context(), "s1")
	must(t, err)
	if n := f.count(t, "pgtenancy.retired_ids WHERE id = 'acme' AND epoch = 4"); n != 1 || s.Tenants != 0 {
		t.Errorf("%d retired ids, %d tenants counted", n, s.Tenants)
	}
	if err := f.Forget(t.Context(), c); !errors.Is(err, catalog.ErrClaimLost) {
		t.Errorf("second Forget: %v, want ErrClaimLost", err)
	}
}

func TestForgetNeverTakesATenantThatIsNotBeingUnmade(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	c := f.reserve(t, "acme")
	if err := f.Forget(t.Context(), c); !errors.Is(err, catalog.ErrClaimLost) {
		t.Errorf("Forget while provisioning: %v, want ErrClaimLost", err)
	}
	s, err := f.Server(t.Context(), "s1")
	must(t, err)
	if f.lookup(t, "acme").State != tenancy.Provisioning || s.Tenants != 1 {
		t.Error("the tenant or its place is gone")
	}
}

func TestBeginDeleteRefusesWhatItMayNotDelete(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	if _, err := f.BeginDelete(t.Context(), "nobody", "o", time.Minute); !errors.Is(err, tenancy.ErrNotFound) {
		t.Errorf("unknown tenant: %v, want tenancy.ErrNotFound", err)
	}
	f.reserve(t, "acme")
	if _, err := f.BeginDelete(t.Context(), "acme", "o", time.Minute); !errors.Is(err, registry.ErrConflict) {
		t.Errorf("provisioning tenant: %v, want ErrConflict", err)
	}
	if _, err := f.BeginDelete(t.Context(), "acme", "", 0); err == nil {
		t.Error("a claim without owner and time to live was accepted")
	}
}

func TestADeleteIsTakenOverOnlyWhenItsClaimHasExpired(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.active(t, "acme")
	must(t, f.Suspend(t.Context(), "acme"))
	first, err := f.BeginDelete(t.Context(), "acme", "first", time.Minute)
	must(t, err)
	if _, err := f.BeginDelete(t.Context(), "acme", "second", time.Minute); !errors.Is(err, registry.ErrConflict) {
		t.Errorf("claimed by another: %v, want ErrConflict", err)
	}
	f.expire(t, "acme")
	second, err := f.BeginDelete(t.Context(), "acme", "second", time.Minute)
	must(t, err)
	if err := f.Forget(t.Context(), first); !errors.Is(err, catalog.ErrClaimLost) {
		t.Errorf("Forget by the first: %v, want ErrClaimLost", err)
	}
	must(t, f.Forget(t.Context(), second))
}

func TestAbandonedListsWhatWouldBeClaimedAndClaimsNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, id := range []string{"dead", "busy", "well"} {
		c := f.reserve(t, id)
		if id == "well" {
			must(t, f.Activate(t.Context(), c))
		}
	}
	f.expire(t, "dead")
	f.expire(t, "well")
	for range 2 {
		listed, err := f.Abandoned(t.Context(), 10)
		must(t, err)
		if len(listed) != 1 || listed[0].ID != "dead" || listed[0].Attempt != 1 {
			t.Errorf("listed %d: %v", len(listed), listed)
		}
	}
	claims, err := f.ClaimAbandoned(t.Context(), "owner", time.Minute, 10)
	must(t, err)
	listed, err := f.Abandoned(t.Context(), 10)
	must(t, err)
	if len(claims) != 1 || claims[0].Tenant.ID != "dead" || len(listed) != 0 {
		t.Errorf("claimed %v, and then listed %v", claims, listed)
	}
}
