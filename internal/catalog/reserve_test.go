package catalog_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

func TestReserveWritesAllOfTheIntent(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	res := reservation(t, "acme")
	res.Organization.TrialEndsAt = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	c, err := f.Reserve(t.Context(), res)
	must(t, err)
	if c.Attempt != 1 || c.Owner != "owner" || string(c.Data) != "data of acme" || c.Expires.IsZero() {
		t.Errorf("claim: attempt %d, owner %q, data %q, expires %v", c.Attempt, c.Owner, c.Data, c.Expires)
	}
	want := res.Admin
	want.Role = registry.RolePrimary
	if c.Admin != want {
		t.Error("the claim's admin is not the reservation's")
	}
	got, err := f.Tenant(t.Context(), "acme")
	must(t, err)
	opts := cmp.Options{
		cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) }),
	}
	expected := &registry.Tenant{
		Tenant: tenancy.Tenant{
			ID: "acme", State: tenancy.Provisioning, Epoch: 1, SchemaHash: "hash",
			Endpoint: tenancy.Endpoint{
				Server: "s1", Host: "db1.internal", Port: 5432,
				Database: "tenant_acme", User: "tenant_acme", Password: tenancy.NewSecret("db password of acme"),
			},
		},
		Server: registry.Server{
			Name: "s1", Host: "db1.internal", Port: 5432, Weight: 1, State: registry.ServerOpen, Tenants: 1,
		},
		Organization: res.Organization, Labels: map[string]string{}, Attempt: 1,
	}
	if diff := cmp.Diff(expected, got, opts, cmpopts.IgnoreFields(registry.Tenant{}, "CreatedAt")); diff != "" {
		t.Errorf("Tenant (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(*got, c.Tenant, opts); diff != "" {
		t.Errorf("the claim's tenant (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(got.Tenant, f.lookup(t, "acme")); diff != "" {
		t.Errorf("Lookup (-want +got):\n%s", diff)
	}
	members, err := f.TenantsByEmail(t.Context(), email(t, "ACME@example.com"))
	must(t, err)
	if diff := cmp.Diff([]registry.Membership{{TenantID: "acme", AdminID: "admin-acme"}}, members); diff != "" {
		t.Errorf("TenantsByEmail (-want +got):\n%s", diff)
	}
}

func TestReserveRefusesWhatIsTaken(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.reserve(t, "acme")
	for _, c := range []struct {
		name   string
		change func(*catalog.Reservation)
		want   error
	}{
		{"e-mail", func(r *catalog.Reservation) { r.Admin.Email = email(t, "Acme@EXAMPLE.com") }, registry.ErrEmailTaken},
		{"id", func(r *catalog.Reservation) { r.ID = "acme" }, registry.ErrIDTaken},
		{"database", func(r *catalog.Reservation) { r.Database = "tenant_acme" }, registry.ErrIDTaken},
		{"unknown server", func(r *catalog.Reservation) { r.Server = "s9" }, registry.ErrNoServer},
	} {
		res := reservation(t, "other")
		c.change(&res)
		if _, err := f.Reserve(t.Context(), res); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	s, err := f.Server(t.Context(), "s1")
	must(t, err)
	if s.Tenants != 1 || f.count(t, "pgtenancy.tenants") != 1 || f.count(t, "pgtenancy.organizations") != 1 {
		t.Errorf("a refused reservation left something: %d tenants counted", s.Tenants)
	}
}

func TestReserveNamesEveryFieldThatIsWrong(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, err := f.Reserve(t.Context(), catalog.Reservation{
		ID: "Bad ID", IdempotencyKey: "a\x00b", Admin: registry.Admin{Role: registry.RolePrimary},
	})
	for _, field := range []string{"ID", "Database", "Role", "Admin.ID", "Admin.Email", "Owner", "TTL", "IdempotencyKey"} {
		if err == nil || !strings.Contains(err.Error(), "registry: Reservation."+field+": ") {
			t.Errorf("%s is not named: %v", field, err)
		}
	}
}

func TestOneOfManyConcurrentReservesOfOneEmailWins(t *testing.T) {
	t.Parallel()
	for mode, configure := range map[string]func(*pgxpool.Config, *registry.Config){
		"read committed": func(*pgxpool.Config, *registry.Config) {}, "serializable": serializable,
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, configure)
			for round := range 5 {
				reservations := make([]catalog.Reservation, 16)
				for i := range reservations {
					reservations[i] = reservation(t, name("r%d-%d", round, i))
					reservations[i].Admin.Email = email(t, name("same%d@example.com", round))
				}
				errs := concurrently(len(reservations), func(i int) error {
					_, err := f.Reserve(t.Context(), reservations[i])
					return err
				})
				won := 0
				for _, err := range errs {
					if err == nil {
						won++
					} else if !errors.Is(err, registry.ErrEmailTaken) {
						t.Errorf("loser: %v, want ErrEmailTaken", err)
					}
				}
				if won != 1 {
					t.Errorf("round %d: %d winners", round, won)
				}
			}
			s, err := f.Server(t.Context(), "s1")
			must(t, err)
			if n := f.count(t, "pgtenancy.tenants"); n != 5 || s.Tenants != 5 {
				t.Errorf("%d tenants, %d counted, want 5", n, s.Tenants)
			}
		})
	}
}

func TestOneEmailIsOneWhileIndexKeysAreChanged(t *testing.T) {
	t.Parallel()
	old := newFixture(t) // knows key 1 alone
	registries := []*registry.Registry{old.Registry}
	for _, ids := range [][]int16{{1, 2}, {2, 1}} {
		cfg := registry.Config{Pool: old.pool, Keyring: newKeyring(t, ids...)}
		registries = append(registries, newRegistry(t, cfg))
	}
	for round := range 20 {
		reservations := make([]catalog.Reservation, 6)
		for i := range reservations {
			reservations[i] = reservation(t, name("k%d-%d", round, i))
			reservations[i].Admin.Email = email(t, name("k%d@example.com", round))
		}
		won := 0
		for _, err := range concurrently(6, func(i int) error {
			_, err := catalog.Of(registries[i%3]).Reserve(t.Context(), reservations[i])
			return err
		}) {
			if err == nil {
				won++
			} else if !errors.Is(err, registry.ErrEmailTaken) {
				t.Errorf("loser: %v", err)
			}
		}
		if won != 1 {
			t.Errorf("round %d: %d winners", round, won)
		}
		for i, r := range registries {
			members, err := r.TenantsByEmail(t.Context(), email(t, name("k%d@example.com", round)))
			if err != nil || len(members) != 1 {
				t.Errorf("round %d, registry %d: %d memberships, %v", round, i, len(members), err)
			}
		}
	}
}

func TestAnIDIsNeverGivenOutTwice(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	c := f.reserve(t, "acme")
	must(t, f.Fail(t.Context(), c, "no reason"))
	claims, err := f.ClaimAbandoned(t.Context(), "reconciler", time.Minute, 10)
	must(t, err)
	must(t, f.Forget(t.Context(), claims[0]))
	if _, err := f.Reserve(t.Context(), reservation(t, "acme")); !errors.Is(err, registry.ErrIDTaken) {
		t.Errorf("Reserve of a retired id: %v, want ErrIDTaken", err)
	}
	// The name and the e-mail are free.
	res := reservation(t, "acme")
	res.ID = "acme2"
	if _, err := f.Reserve(t.Context(), res); err != nil {
		t.Errorf("Reserve of a forgotten e-mail: %v", err)
	}
}
