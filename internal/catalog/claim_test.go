package catalog_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

func TestActivateIsTheCommitPoint(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	c := f.reserve(t, "acme")
	must(t, f.Activate(t.Context(), c))
	got, err := f.Tenant(t.Context(), "acme")
	must(t, err)
	if got.State != tenancy.Active || got.Epoch != 2 || got.ActivatedAt.IsZero() {
		t.Errorf("state %s, epoch %d, activated at %v", got.State, got.Epoch, got.ActivatedAt)
	}
	if n := f.count(t, `pgtenancy.tenants WHERE data IS NOT NULL`); n != 0 {
		t.Error("the sign-up's data outlived it")
	}
	if err := f.Activate(t.Context(), c); !errors.Is(err, catalog.ErrClaimLost) {
		t.Errorf("second Activate: %v, want ErrClaimLost", err)
	}
}

func TestExtendRenewsTheClaimAndRecordsTheStep(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	c := f.reserve(t, "acme")
	before := c.Expires
	must(t, f.Extend(t.Context(), c, "database", time.Hour))
	must(t, f.Extend(t.Context(), c, "", time.Hour))
	if c.Expires.Sub(before) < 50*time.Minute || c.Tenant.Step != "database" {
		t.Errorf("expires %v after the first, step %q", c.Expires.Sub(before), c.Tenant.Step)
	}
	got, err := f.Tenant(t.Context(), "acme")
	must(t, err)
	if got.Step != "database" || got.Epoch != 1 {
		t.Errorf("step %q, epoch %d; want the step kept and the epoch unmoved", got.Step, got.Epoch)
	}
}

func TestEveryWriteUnderALostClaimIsRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	zombie := f.reserve(t, "acme")
	f.expire(t, "acme")
	must(t, f.Extend(t.Context(), zombie, "", time.Nanosecond)) // expired, but not yet taken
	claims, err := f.ClaimAbandoned(t.Context(), "owner", time.Minute, 10)
	must(t, err)
	if len(claims) != 1 || claims[0].Attempt != 2 || string(claims[0].Data) != "data of acme" {
		t.Fatalf("claimed %d", len(claims))
	}
	for name, write := range zombieWrites(f) {
		if err := write(t.Context(), zombie); !errors.Is(err, catalog.ErrClaimLost) {
			t.Errorf("%s: %v, want ErrClaimLost", name, err)
		}
	}
	got, err := f.Tenant(t.Context(), "acme")
	must(t, err)
	steps, err := f.Steps(t.Context(), "acme")
	must(t, err)
	s, err := f.Server(t.Context(), "s1")
	must(t, err)
	if got.State != tenancy.Provisioning || got.Epoch != 1 || got.Step != "" || len(steps) != 0 || s.Tenants != 1 {
		t.Errorf("the lost claim wrote: state %s, epoch %d, step %q, %d steps", got.State, got.Epoch, got.Step, len(steps))
	}
	must(t, f.Activate(t.Context(), claims[0]))
}

// zombieWrites are all writes under a claim.
func zombieWrites(f *fixture) map[string]func(context.Context, *catalog.Claim) error {
	return map[string]func(context.Context, *catalog.Claim) error{
		"Activate": f.Activate,
		"Forget":   f.Forget,
		"Extend": func(ctx context.Context, c *catalog.Claim) error {
			return f.Extend(ctx, c, "zombie", time.Hour)
		},
		"Fail": func(ctx context.Context, c *catalog.Claim) error { return f.Fail(ctx, c, "zombie") },
		"Yield": func(ctx context.Context, c *catalog.Claim) error {
			return f.ReleaseClaim(ctx, c, 0)
		},
		"GiveBack": func(ctx context.Context, c *catalog.Claim) error {
			return f.ReturnUnusedClaim(ctx, c, 0)
		},
		"ClaimSchemaHash": func(ctx context.Context, c *catalog.Claim) error {
			return f.ClaimSchemaHash(ctx, c, "zombie")
		},
		"PutStep": func(ctx context.Context, c *catalog.Claim) error {
			return f.PutStep(ctx, c, catalog.Step{Name: "zombie", State: catalog.StepBegun})
		},
	}
}

func TestFailKeepsTheReasonAndFreesTheClaim(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	c := f.reserve(t, "acme")
	must(t, f.Fail(t.Context(), c, "database: no space\xff\x00"))
	got, err := f.Tenant(t.Context(), "acme")
	must(t, err)
	if got.State != tenancy.Failing || got.Epoch != 2 || got.FailReason != "database: no space��" {
		t.Errorf("state %s, epoch %d, reason %q", got.State, got.Epoch, got.FailReason)
	}
	claims, err := f.ClaimAbandoned(t.Context(), "reconciler", time.Minute, 10)
	must(t, err)
	if len(claims) != 1 {
		t.Fatalf("claimed %d at once, want 1", len(claims))
	}
}

func TestYieldLetsTheNextTakeItAfterAWhile(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	must(t, f.ReleaseClaim(t.Context(), f.reserve(t, "later"), time.Hour))
	must(t, f.ReleaseClaim(t.Context(), f.reserve(t, "now"), 0))
	claims, err := f.ClaimAbandoned(t.Context(), "reconciler", time.Minute, 10)
	must(t, err)
	if len(claims) != 1 || claims[0].Tenant.ID != "now" || claims[0].Tenant.State != tenancy.Provisioning {
		t.Errorf("claimed %d", len(claims))
	}
}

// TestGiveBackCountsNoAttempt guards sign-ups on a server that is down: they are not undone without having been tried.
func TestGiveBackCountsNoAttempt(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	must(t, f.ReleaseClaim(t.Context(), f.reserve(t, "acme"), 0))
	for range 3 {
		claims, err := f.ClaimAbandoned(t.Context(), "reconciler", time.Minute, 10)
		must(t, err)
		if len(claims) != 1 || claims[0].Attempt != 2 {
			t.Fatalf("claimed %v, want attempt 2", claims)
		}
		must(t, f.ReturnUnusedClaim(t.Context(), claims[0], 0))
	}
	claims, err := f.ClaimAbandoned(t.Context(), "reconciler", time.Minute, 10)
	must(t, err)
	must(t, f.ReturnUnusedClaim(t.Context(), claims[0], time.Hour))
	if claims, err = f.ClaimAbandoned(t.Context(), "reconciler", time.Minute, 10); err != nil || len(claims) != 0 {
		t.Errorf("claimed %v before its time: %v", claims, err)
	}
}

func TestClaimAbandonedTakesTheOldestFirstUpToTheLimit(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for i, id := range []string{"a", "b", "c", "d"} {
		f.reserve(t, id)
		f.exec(t, `UPDATE pgtenancy.tenants SET claim_expires = now() - $2 * interval '1 minute' WHERE id = $1`, id, i)
	}
	f.active(t, "active")
	f.reserve(t, "claimed")
	var got []tenancy.ID
	for {
		claims, err := f.ClaimAbandoned(t.Context(), "reconciler", time.Minute, 3)
		must(t, err)
		if len(claims) == 0 {
			break
		}
		for _, c := range claims {
			got = append(got, c.Tenant.ID)
			if c.Admin.ID != "admin-"+string(c.Tenant.ID) || c.Admin.Email.Reveal() != string(c.Tenant.ID)+"@example.com" {
				t.Errorf("the claim on %q has the admin %q", c.Tenant.ID, c.Admin.ID)
			}
		}
	}
	if want := []tenancy.ID{"d", "c", "b", "a"}; len(got) != 4 || got[0] != want[0] || got[1] != want[1] ||
		got[2] != want[2] || got[3] != want[3] {
		t.Errorf("claimed %v, want %v", got, want)
	}
}

func TestNoTenantHasTwoOwners(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const tenants, owners = 24, 8
	for i := range tenants {
		f.reserve(t, name("t%d", i))
		f.expire(t, tenancy.ID(name("t%d", i)))
	}
	// Every owner has chosen what to claim before any of them has claimed it.
	f.exec(t, `CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS
		'BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NEW; END'`)
	f.exec(t, `CREATE TRIGGER wait BEFORE UPDATE ON pgtenancy.tenants FOR EACH ROW EXECUTE FUNCTION wait()`)
	tx, err := f.pool.Begin(t.Context())
	must(t, err)
	_, err = tx.Exec(t.Context(), `SELECT pg_advisory_xact_lock(1)`)
	must(t, err)
	claims := make([][]*catalog.Claim, owners)
	done := make(chan error, 1)
	go func() {
		done <- errors.Join(concurrently(owners, func(i int) (err error) {
			claims[i], err = f.ClaimAbandoned(t.Context(), name("owner %d", i), time.Hour, tenants/owners)
			return err
		})...)
	}()
	pgtest.Eventually(t, "every claim waits", func() bool {
		return f.count(t, `pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) >= owners
	})
	must(t, tx.Commit(t.Context()))
	must(t, pgtest.Receive(t, "the claims end", done))
	owner := make(map[tenancy.ID]string)
	for _, mine := range claims {
		for _, c := range mine {
			if before, ok := owner[c.Tenant.ID]; ok {
				t.Errorf("%q was claimed by %q and %q", c.Tenant.ID, before, c.Owner)
			}
			owner[c.Tenant.ID] = c.Owner
		}
	}
	if n := f.count(t, `pgtenancy.tenants WHERE claim_owner <> 'owner' AND attempt = 2`); n != tenants {
		t.Errorf("%d of %d were claimed once", n, tenants)
	}
}
