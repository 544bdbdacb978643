package registry_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// stuckVault is a vault that opens nothing before it is freed.
type stuckVault struct {
	*vault
	asked chan struct{}
	freed chan struct{}
}

func (v *stuckVault) Open(ctx context.Context, sealed []byte, place string) ([]byte, error) {
	select {
	case v.asked <- struct{}{}:
	default:
	}
	select {
	case <-v.freed:
		return v.vault.Open(ctx, sealed, place)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// TestNobodyWaitsForTheSealerOfAnother has a key service that hangs while one tenant is claimed: no row, and above all
// not the feed's, is locked meanwhile.
func TestNobodyWaitsForTheSealerOfAnother(t *testing.T) {
	t.Parallel()
	for name, claim := range map[string]func(context.Context, *registry.Registry) error{
		"BeginDelete": func(ctx context.Context, r *registry.Registry) error {
			_, err := catalog.Of(r).BeginDelete(ctx, "acme", "owner", time.Minute)
			return err
		},
		"ClaimAbandoned": func(ctx context.Context, r *registry.Registry) error {
			_, err := catalog.Of(r).ClaimAbandoned(ctx, "owner", time.Minute, 10)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			v := &stuckVault{newVault(t, 50), make(chan struct{}, 1), make(chan struct{})}
			r := f.sealedBy(t, v)
			c, err := catalog.Of(r).Reserve(t.Context(), reservation(t, "acme"))
			must(t, err)
			must(t, catalog.Of(r).Activate(t.Context(), c))
			if name == "ClaimAbandoned" {
				f.exec(t, `UPDATE pgtenancy.tenants SET state = 'deleting'`)
			}
			f.active(t, "other")
			ended := make(chan error, 1)
			go func() { ended <- claim(t.Context(), r) }()
			pgtest.Receive(t, "the vault is asked", v.asked)
			f.goOn(t)
			close(v.freed)
			must(t, pgtest.Receive(t, "the claim ends", ended))
		})
	}
}

// TestATenantIsUnmadeWithoutItsPassword: unmaking never asks for it.
func TestATenantIsUnmadeWithoutItsPassword(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	kept := true
	r := newRegistry(t, registry.Config{Pool: f.pool, Keyring: newKeyring(t, 1), Secrets: map[string]registry.SecretSource{
		"vault": func(context.Context, string) (tenancy.Secret, error) {
			if !kept {
				t.Error("the vault was asked")
			}
			return tenancy.NewSecret("pw"), nil
		},
	}})
	id := f.active(t, "acme")
	must(t, r.SetPasswordRef(t.Context(), id, "vault:acme"))
	kept = false
	got, err := catalog.Of(r).TenantWithoutSecrets(t.Context(), id)
	must(t, err)
	if got.ID != id || got.Endpoint.Database != "tenant_acme" || !got.Endpoint.Password.IsZero() ||
		got.Server.Name != "s1" ||
		got.ActivatedAt.IsZero() || !got.Organization.Email.IsZero() {
		t.Errorf("got %v", got)
	}
	if _, err := catalog.Of(r).TenantWithoutSecrets(t.Context(), "ghost"); !errors.Is(err, tenancy.ErrNotFound) {
		t.Error(err)
	}
	c, err := catalog.Of(r).BeginDelete(t.Context(), id, "dead", time.Nanosecond)
	must(t, err)
	if !c.Tenant.Endpoint.Password.IsZero() || c.Admin.Email.Reveal() != "acme@example.com" ||
		c.Tenant.Organization.Email.IsZero() || c.Tenant.Endpoint.User != "tenant_acme" || c.Attempt != 2 {
		t.Errorf("claimed %v", c)
	}
	claims, err := catalog.Of(r).ClaimAbandoned(t.Context(), "owner", time.Minute, 10)
	must(t, err)
	if len(claims) != 1 || claims[0].Attempt != 3 || !claims[0].Tenant.Endpoint.Password.IsZero() {
		t.Fatalf("claimed %v", claims)
	}
	must(t, catalog.Of(r).Forget(t.Context(), claims[0]))
}

// TestATenantWhoseKeyIsLostCanBeUnmade, and so can one without an admin; but what a key service cannot open now, a
// later call may still report it to the code that undoes steps.
func TestATenantWhoseKeyIsLostCanBeUnmade(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id := f.active(t, "acme")
	f.exec(t, `UPDATE pgtenancy.tenants SET password = '\x00'`)
	f.exec(t, `UPDATE pgtenancy.organizations SET email = '\x00'`)
	f.exec(t, `UPDATE pgtenancy.admins SET email = '\x00'`)
	c, err := f.BeginDelete(t.Context(), id, "owner", time.Nanosecond)
	must(t, err)
	if c.Admin.ID != "admin-acme" || !c.Admin.Email.IsZero() {
		t.Errorf("the admin is %v", c.Admin)
	}
	f.exec(t, `DELETE FROM pgtenancy.admins`)
	claims, err := f.ClaimAbandoned(t.Context(), "owner", time.Minute, 10)
	must(t, err)
	must(t, f.Forget(t.Context(), claims[0]))

	v := newVault(t, 50)
	r := f.sealedBy(t, v)
	c, err = catalog.Of(r).Reserve(t.Context(), reservation(t, "sealed"))
	must(t, err)
	must(t, catalog.Of(r).Activate(t.Context(), c))
	v.down.Store(true)
	if _, err := catalog.Of(r).BeginDelete(t.Context(), "sealed", "owner", time.Minute); !errors.Is(err, errVault) {
		t.Errorf("the key service is down: %v", err)
	}
	f.expire(t, "sealed")
	if claims, err := catalog.Of(r).ClaimAbandoned(t.Context(), "owner", time.Minute, 10); !errors.Is(err, errVault) ||
		len(claims) != 0 {
		t.Errorf("the key service is down: claimed %v, %v", claims, err)
	}
	v.down.Store(false)
	f.expire(t, "sealed")
	claims, err = catalog.Of(r).ClaimAbandoned(t.Context(), "owner", time.Minute, 10)
	must(t, err)
	if len(claims) != 1 || claims[0].Tenant.State != tenancy.Deleting || claims[0].Admin.Email.IsZero() {
		t.Errorf("claimed %v", claims)
	}
}
