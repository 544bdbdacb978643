package catalog_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/registry/keyring"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

func sharedEmails(_ *pgxpool.Config, cfg *registry.Config) { cfg.SharedEmails = true }

func TestEmailOfSeveralTenants(t *testing.T) {
	t.Parallel()
	f := newFixture(t, sharedEmails)
	var want []registry.Membership
	for _, id := range []string{"a", "b", "c"} {
		res := reservation(t, id)
		res.Admin.Email = email(t, "consultant@example.com")
		_, err := f.Reserve(t.Context(), res)
		must(t, err)
		want = append(want, registry.Membership{TenantID: tenancy.ID(id), AdminID: "admin-" + id})
	}
	members, err := f.TenantsByEmail(t.Context(), email(t, "Consultant@example.com"))
	must(t, err)
	if diff := cmp.Diff(want, members); diff != "" {
		t.Errorf("TenantsByEmail (-want +got):\n%s", diff)
	}
	_, err = f.pool.Exec(t.Context(), `INSERT INTO pgtenancy.admin_email_index (admin_id, kid, bidx, tenant_id, scope)
		SELECT admin_id, 99, bidx, tenant_id, scope FROM pgtenancy.admin_email_index`)
	if err == nil {
		t.Error("one tenant has two admins with one e-mail")
	}
	one := newRegistry(t, registry.Config{Pool: f.pool, Keyring: newKeyring(t, 1)})
	res := reservation(t, "d")
	res.Admin.Email = email(t, "consultant@example.com")
	if _, err := catalogOf(one).Reserve(t.Context(), res); !errors.Is(err, registry.ErrEmailTaken) {
		t.Errorf("where an e-mail belongs to one tenant: %v", err)
	}
}

func TestTenantOfThatTimeKeepsItsEmailWhereTheyAreShared(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.reserve(t, "acme")
	reg := newRegistry(t, registry.Config{Pool: f.pool, Keyring: newKeyring(t, 1), SharedEmails: true})
	res := reservation(t, "other")
	res.Admin.Email = email(t, "acme@example.com")
	_, err := catalogOf(reg).Reserve(t.Context(), res)
	must(t, err)
	members, err := f.TenantsByEmail(t.Context(), email(t, "acme@example.com"))
	must(t, err)
	if len(members) != 2 {
		t.Errorf("%d tenants, want 2", len(members))
	}
}

func TestTenantWithoutPeopleNeedsNoIndexKey(t *testing.T) {
	t.Parallel()
	ring, err := keyring.New(keyring.Config{Seal: []keyring.Key{key(100)}})
	must(t, err)
	f := newFixture(t, func(_ *pgxpool.Config, cfg *registry.Config) { cfg.Keyring = ring })
	res := reservation(t, "acme")
	if _, err := f.Reserve(t.Context(), res); !errors.Is(err, registry.ErrNoIndexKey) {
		t.Errorf("an admin whose e-mail could not be found: %v", err)
	}
	if _, err := f.TenantsByEmail(t.Context(), res.Admin.Email); !errors.Is(err, registry.ErrNoIndexKey) {
		t.Errorf("TenantsByEmail: %v", err)
	}
	res.Admin = registry.Admin{}
	claim, err := f.Reserve(t.Context(), res)
	must(t, err)
	must(t, f.Activate(t.Context(), claim))
	must(t, f.CheckKeys(t.Context()))
	if got := f.lookup(t, "acme"); got.State != tenancy.Active || got.Endpoint.Host != "db1.internal" {
		t.Errorf("looked up %s at %q", got.State, got.Endpoint.Host)
	}
	if _, err := f.Rekey(t.Context(), registry.RekeyConfig{}); err != nil {
		t.Errorf("Rekey: %v", err)
	}
}

func TestAbandonedSignUpWithoutPeopleIsClaimed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	res := reservation(t, "acme")
	res.Admin = registry.Admin{}
	_, err := f.Reserve(t.Context(), res)
	must(t, err)
	_, err = f.pool.Exec(t.Context(), `UPDATE pgtenancy.tenants SET claim_expires = now()`)
	must(t, err)
	claims, err := f.ClaimAbandoned(t.Context(), "other", res.TTL, 10)
	must(t, err)
	if len(claims) != 1 || claims[0].Admin != (registry.Admin{}) {
		t.Errorf("%d claims", len(claims))
	}
}
