package catalog_test

import (
	"errors"
	"testing"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

func keyed(t *testing.T, id, key, hash string) catalog.Reservation {
	t.Helper()
	res := reservation(t, id)
	res.IdempotencyKey, res.RequestHash = key, []byte(hash)
	return res
}

func TestTheSameRequestAgainIsAReplay(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	first := keyed(t, "acme", "key", "hash")
	c, err := f.Reserve(t.Context(), first)
	must(t, err)

	again := keyed(t, "other", "key", "hash")
	for name, res := range map[string]catalog.Reservation{"new id": again, "same id and e-mail": first} {
		var replay *catalog.ReplayError
		if _, err := f.Reserve(t.Context(), res); !errors.As(err, &replay) ||
			*replay != (catalog.ReplayError{TenantID: "acme", State: tenancy.Provisioning}) {
			t.Errorf("%s: %v, want a replay of acme", name, err)
		}
	}
	again.RequestHash = []byte("another")
	if _, err := f.Reserve(t.Context(), again); !errors.Is(err, registry.ErrKeyReused) {
		t.Errorf("other hash: %v, want ErrKeyReused", err)
	}

	must(t, f.Activate(t.Context(), c))
	f.exec(t, `UPDATE pgtenancy.servers SET state = 'full'`) // a replay needs no room
	var replay *catalog.ReplayError
	if _, err := f.Reserve(t.Context(), first); !errors.As(err, &replay) || replay.State != tenancy.Active {
		t.Errorf("after activation: %v, want a replay of an active tenant", err)
	}
}

func TestConcurrentReservesWithOneKeyReplayTheWinner(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	must(t, f.PutServer(t.Context(), registry.Server{Name: "s2", Host: "db2.internal", Port: 5432}))
	for round := range 10 {
		reservations := make([]catalog.Reservation, 8)
		for i := range reservations {
			id := name("c%d-%d", round, i)
			if i%4 == 3 {
				id = name("c%d-0", round) // the caller's own id: it collides on the id too
			}
			reservations[i] = keyed(t, id, name("key %d", round), "hash")
			reservations[i].Admin.Email = email(t, name("c%d@example.com", round))
			reservations[i].Server = name("s%d", 1+i%2) // no common server whose lock would put them in a row
		}
		var winner tenancy.ID
		claims := make([]*catalog.Claim, len(reservations))
		errs := concurrently(len(reservations), func(i int) (err error) {
			claims[i], err = f.Reserve(t.Context(), reservations[i])
			return err
		})
		for i, err := range errs {
			if err == nil && winner != "" {
				t.Fatalf("round %d: two winners", round)
			}
			if err == nil {
				winner = claims[i].Tenant.ID
			}
		}
		for _, err := range errs {
			var replay *catalog.ReplayError
			if err != nil && (!errors.As(err, &replay) || replay.TenantID != winner) {
				t.Errorf("round %d: %v, want a replay of %q", round, err, winner)
			}
		}
	}
}

func TestAForgottenSignUpsKeyIsKnownForADay(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	c, err := f.Reserve(t.Context(), keyed(t, "acme", "key", "hash"))
	must(t, err)
	must(t, f.Fail(t.Context(), c, "no reason"))
	claims, err := f.ClaimAbandoned(t.Context(), "reconciler", c.Expires.Sub(c.Tenant.CreatedAt), 1)
	must(t, err)
	must(t, f.Forget(t.Context(), claims[0]))
	res := keyed(t, "acme2", "key", "hash")
	res.Admin.Email = email(t, "acme@example.com")
	var replay *catalog.ReplayError
	if _, err := f.Reserve(t.Context(), res); !errors.As(err, &replay) ||
		*replay != (catalog.ReplayError{TenantID: "acme", State: tenancy.Failing}) {
		t.Errorf("Reserve: %v, want a replay of the failure", err)
	}
	other := keyed(t, "acme2", "key", "another")
	if _, err := f.Reserve(t.Context(), other); !errors.Is(err, registry.ErrKeyReused) {
		t.Errorf("other hash: %v, want ErrKeyReused", err)
	}
	f.exec(t, `UPDATE pgtenancy.retired_ids SET retired_at = now() - interval '25 hours'`)
	if _, err := f.Reserve(t.Context(), res); err != nil {
		t.Errorf("Reserve a day later: %v", err)
	}
}

// A deletion is no failure: the key is free, and the request makes a new tenant.
func TestADeletedTenantsKeyIsFree(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	c, err := f.Reserve(t.Context(), keyed(t, "acme", "key", "hash"))
	must(t, err)
	must(t, f.Activate(t.Context(), c))
	claim, err := f.BeginDelete(t.Context(), "acme", "owner", c.Expires.Sub(c.Tenant.CreatedAt))
	must(t, err)
	must(t, f.Forget(t.Context(), claim))
	if _, err := f.Reserve(t.Context(), keyed(t, "acme2", "key", "hash")); err != nil {
		t.Errorf("Reserve: %v", err)
	}
}
