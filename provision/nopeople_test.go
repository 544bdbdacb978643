package provision_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

func TestTenantNeedsNoPeople(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	p := f.provisioner(t, func(c *provision.Config) {
		c.Seed = func(_ context.Context, _ pgx.Tx, s provision.Seed) error {
			if s.Admin != (registry.Admin{}) {
				return errors.New("an admin from nowhere")
			}
			return nil
		}
	})
	first, err := p.Create(t.Context(), provision.Request{IdempotencyKey: "key"})
	must(t, err)
	again, err := p.Create(t.Context(), provision.Request{IdempotencyKey: "key"})
	must(t, err)
	if !again.Replayed || again.Tenant.ID != first.Tenant.ID || again.Admin != (registry.Admin{}) {
		t.Errorf("the repetition: %+v", again)
	}
	second, err := p.Create(t.Context(), provision.Request{ID: "second"})
	must(t, err)
	if _, err := f.visit(t.Context(), "second"); err != nil {
		t.Errorf("visit: %v", err)
	}
	must(t, p.Suspend(t.Context(), "second"))
	must(t, p.Resume(t.Context(), "second"))
	for _, id := range []tenancy.ID{first.Tenant.ID, second.Tenant.ID} {
		must(t, p.Drop(t.Context(), id))
	}
	f.reconcile(t, p, f.active())
}
