package provision_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/provision"
)

// TestSlowStepKeepsItsClaim has a step that takes twice as long as a claim lives, beside a reconciler that would like
// to take it over.
func TestSlowStepKeepsItsClaim(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	other := f.provisioner(t)
	p := f.provisioner(t, func(c *provision.Config) {
		c.ClaimTTL = crashTTL
		c.Seed = func(ctx context.Context, _ pgx.Tx, _ provision.Seed) error {
			for over := time.After(2 * crashTTL); ; {
				pass, err := other.Reconcile(ctx)
				if err != nil || len(pass.Finished)+len(pass.Undone)+len(pass.Retried) > 0 {
					t.Errorf("taken over: %+v, %v", pass, err)
				}
				select {
				case <-over:
					return nil
				case <-time.After(crashTTL / 10):
				}
			}
		}
	})
	f.create(t, p, "acme")
}

// TestWorkStopsWhenTheClaimIsLost takes the claim away in the middle of a step, as another process would.
func TestWorkStopsWhenTheClaimIsLost(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	other := f.provisioner(t)
	p := f.provisioner(t, func(c *provision.Config) {
		c.ClaimTTL = crashTTL
		c.Seed = func(ctx context.Context, _ pgx.Tx, _ provision.Seed) error {
			must(t, execute(ctx, f.regCfg.ConnConfig,
				"UPDATE pgtenancy.tenants SET claim_owner = '', claim_expires = now(), attempt = attempt + 1"))
			<-ctx.Done()
			if !errors.Is(context.Cause(ctx), catalog.ErrClaimLost) {
				t.Errorf("ended by %v", context.Cause(ctx))
			}
			_, err := other.Reconcile(context.WithoutCancel(ctx))
			must(t, err)
			return ctx.Err()
		}
	})
	f.create(t, p, "acme") // it has come to its end, in the other's hands
	if got := f.residue(t); got != f.active("acme") {
		t.Error(got)
	}
}
