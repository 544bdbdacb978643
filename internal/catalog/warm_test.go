package catalog_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

const wanted = time.Minute // how long stock may go unwanted

func warm(name string) catalog.Warm {
	return catalog.Warm{
		ID: tenancy.ID(name), Database: "tenant_" + name, Role: "tenant_" + name,
		Password: tenancy.NewSecret("warm password of " + name), Server: "s1", SchemaHash: "hash", Most: 10,
		Owner: "keeper", TTL: time.Minute,
	}
}

func (f *fixture) plan(t testing.TB, name string) *catalog.Claim {
	t.Helper()
	c, err := f.PlanWarm(t.Context(), warm(name))
	must(t, err)
	return c
}

func (f *fixture) stock(t testing.TB, names ...string) {
	t.Helper()
	for _, n := range names {
		must(t, f.WarmReady(t.Context(), f.plan(t, n)))
	}
}

func (f *fixture) claimWarm(t testing.TB, change ...func(*catalog.WarmWork)) []*catalog.Claim {
	t.Helper()
	w := catalog.WarmWork{
		Owner: "other", TTL: time.Minute, SchemaHash: "hash", Attempts: 3, Idle: wanted, Limit: 10,
	}
	for _, c := range change {
		c(&w)
	}
	claims, err := f.ClaimWarm(t.Context(), w)
	must(t, err)
	return claims
}

func isolations() map[string]func(*pgxpool.Config, *registry.Config) {
	return map[string]func(*pgxpool.Config, *registry.Config){
		"read committed": func(*pgxpool.Config, *registry.Config) {}, "serializable": serializable,
	}
}

// warmReservation is a reservation that uses its id only if no stock is left.
func warmReservation(t testing.TB, name string) catalog.Reservation {
	res := reservation(t, name)
	res.Step, res.Warm = "database", &catalog.WarmChoice{Step: "seed"}
	return res
}

func TestReserveTakesAWarmDatabaseAsItIs(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	planned := f.plan(t, "w1")
	if planned.Tenant.State != tenancy.Provisioning || planned.Tenant.Epoch != 1 || planned.Tenant.Server.Name != "s1" ||
		planned.Tenant.Endpoint.Password != tenancy.NewSecret("warm password of w1") {
		t.Errorf("planned: %+v", planned.Tenant.Tenant)
	}
	if _, err := f.Reserve(t.Context(), warmReservation(t, "early")); err != nil {
		t.Fatal(err)
	}
	must(t, f.Extend(t.Context(), planned, "access", time.Minute))
	must(t, f.WarmReady(t.Context(), planned))
	f.expire(t, "early") // a sign-up that runs would hold the next one up
	f.stock(t, "w2")

	res := warmReservation(t, "acme")
	res.Warm.Prefer = []tenancy.ID{"w2"}
	c, err := f.Reserve(t.Context(), res)
	must(t, err)
	want := tenancy.Endpoint{
		Server: "s1", Host: "db1.internal", Port: 5432,
		Database: "tenant_w2", User: "tenant_w2", Password: tenancy.NewSecret("warm password of w2"),
	}
	if !c.Warm || c.Tenant.ID != "w2" || c.Tenant.Endpoint != want || c.Tenant.Step != "seed" ||
		string(c.Data) != "data of acme" {
		t.Errorf("warm %t, step %q, tenant %+v", c.Warm, c.Tenant.Step, c.Tenant.Tenant)
	}
	must(t, f.Activate(t.Context(), c))
	if got := f.lookup(t, "w2"); got.State != tenancy.Active || got.Endpoint != want {
		t.Errorf("after activation: %+v", got)
	}
	left, err := f.WarmStock(t.Context(), "s1", "hash")
	must(t, err)
	if !slices.Equal(left, []tenancy.ID{"w1"}) {
		t.Errorf("stock left: %v", left)
	}
}

func TestReserveTakesNoWarmDatabaseThatIsNotItsOwn(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	must(t, f.PutServer(t.Context(), registry.Server{Name: "s2", Host: "db2.internal", Port: 5432}))
	f.stock(t, "w1")
	f.plan(t, "making")
	for name, change := range map[string]func(*catalog.Reservation){
		"id":     func(r *catalog.Reservation) { r.Warm = nil },
		"schema": func(r *catalog.Reservation) { r.SchemaHash = "other" },
		"server": func(r *catalog.Reservation) { r.Server = "s2" },
	} {
		res := warmReservation(t, name)
		change(&res)
		c, err := f.Reserve(t.Context(), res)
		must(t, err)
		if c.Warm || string(c.Tenant.ID) != name || c.Tenant.Step != "database" {
			t.Errorf("%s: warm %t, tenant %q, step %q", name, c.Warm, c.Tenant.ID, c.Tenant.Step)
		}
	}
	for _, id := range []tenancy.ID{"w1", "making"} {
		res := reservation(t, "thief")
		res.ID = id
		if _, err := f.Reserve(t.Context(), res); !errors.Is(err, registry.ErrIDTaken) {
			t.Errorf("somebody's own id %q, which is a warm database's: %v", id, err)
		}
	}
}

// TestWarmDatabaseThatIsNotReadyIsNotTaken has a database in the making, and another on its way out.
func TestWarmDatabaseThatIsNotReadyIsNotTaken(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.plan(t, "making")
	for i, name := range []string{"first", "second"} {
		c, err := f.Reserve(t.Context(), warmReservation(t, name))
		must(t, err)
		if c.Warm || string(c.Tenant.ID) != name {
			t.Errorf("got %q, warm %t", c.Tenant.ID, c.Warm)
		}
		if i == 0 {
			f.exec(t, "UPDATE pgtenancy.warm_databases SET state = 'retiring'")
		}
	}
}

func TestWarmDatabaseIsNeverTakenTwice(t *testing.T) {
	t.Parallel()
	for isolation, configure := range isolations() {
		t.Run(isolation, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, configure)
			f.stock(t, "w1", "w2", "w3")
			ids := make([]tenancy.ID, 8)
			warmed := make([]bool, 8)
			errs := concurrently(8, func(i int) error {
				c, err := f.Reserve(t.Context(), warmReservation(t, name("org%d", i)))
				if err == nil {
					ids[i], warmed[i] = c.Tenant.ID, c.Warm
				}
				return err
			})
			must(t, errors.Join(errs...))
			slices.Sort(ids)
			if len(slices.Compact(ids)) != 8 {
				t.Errorf("ids: %v", ids)
			}
			took := 0
			for _, w := range warmed {
				if w {
					took++
				}
			}
			if left := f.count(t, "pgtenancy.warm_databases"); took+left != 3 || isolation == "read committed" && left != 0 {
				t.Errorf("%d took one, and %d are left", took, left)
			}
		})
	}
}

func TestReservationThatFailsLeavesTheStockAlone(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.stock(t, "w1")
	f.reserve(t, "acme")
	res := warmReservation(t, "other")
	res.Admin.Email = email(t, "acme@example.com")
	if _, err := f.Reserve(t.Context(), res); !errors.Is(err, registry.ErrEmailTaken) {
		t.Fatal(err)
	}
	if n := f.count(t, "pgtenancy.warm_databases WHERE state = 'ready'"); n != 1 {
		t.Errorf("%d in stock", n)
	}
}

func TestPlanWarmStopsWhereNoneIsWanted(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	refused := func(why string, change func(*catalog.Warm)) {
		t.Helper()
		w := warm("refused")
		change(&w)
		if _, err := f.PlanWarm(t.Context(), w); !errors.Is(err, catalog.ErrNotWanted) {
			t.Errorf("%s: %v", why, err)
		}
	}
	planned := f.plan(t, "w1")
	refused("one is being made", func(*catalog.Warm) {})
	must(t, f.ReleaseClaim(t.Context(), planned, time.Hour))
	refused("one waits to be tried again", func(*catalog.Warm) {})
	f.exec(t, `DELETE FROM pgtenancy.warm_databases`)

	f.reserve(t, "running")
	f.stock(t, "w2")
	refused("sign-ups are running and have a spare one", func(*catalog.Warm) {})
	f.expire(t, "running")
	f.stock(t, "w3")
	refused("enough", func(w *catalog.Warm) { w.Most = 2 })

	must(t, f.PutServer(t.Context(), registry.Server{Name: "s1", Host: "db1.internal", Port: 5432, Capacity: 3}))
	refused("one tenant and two in stock fill it", func(*catalog.Warm) {})
	must(t, f.PutServer(t.Context(), registry.Server{
		Name: "s1", Host: "db1.internal", Port: 5432, State: registry.ServerDraining,
	}))
	refused("not open", func(*catalog.Warm) {})
	refused("unknown server", func(w *catalog.Warm) { w.Server = "s9" })
}

func TestManyKeepersPlanOneAtATime(t *testing.T) {
	t.Parallel()
	for isolation, configure := range isolations() {
		t.Run(isolation, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, configure)
			for round := range 4 {
				claims := make([]*catalog.Claim, 8)
				errs := concurrently(8, func(i int) (err error) {
					w := warm(name("w%d-%d", round, i))
					w.Most = 3
					claims[i], err = f.PlanWarm(t.Context(), w)
					return err
				})
				won := 0
				for i, err := range errs {
					switch {
					case err == nil:
						won++
						must(t, f.WarmReady(t.Context(), claims[i]))
					case !errors.Is(err, catalog.ErrNotWanted):
						t.Error(err)
					}
				}
				if want := min(1, 3-round); won != want {
					t.Errorf("round %d: %d were planned, want %d", round, won, want)
				}
			}
		})
	}
}

func TestWarmDatabaseOfADeadMakerIsFinishedOrRetired(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	zombie := f.plan(t, "w1")
	if claims := f.claimWarm(t); len(claims) != 0 {
		t.Fatalf("claimed %d whose maker lives", len(claims))
	}
	var claims []*catalog.Claim
	for attempt := int64(2); attempt <= 4; attempt++ {
		f.exec(t, `UPDATE pgtenancy.warm_databases SET claim_expires = now() - interval '1 second'`)
		claims = f.claimWarm(t)
		want := tenancy.Provisioning
		if attempt > 3 {
			want = tenancy.Failing
		}
		if len(claims) != 1 || claims[0].Attempt != attempt || claims[0].Tenant.State != want ||
			claims[0].Tenant.Endpoint.Database != "tenant_w1" {
			t.Fatalf("attempt %d: %d claims, state %s", attempt, len(claims), claims[0].Tenant.State)
		}
		if err := f.WarmReady(t.Context(), zombie); !errors.Is(err, catalog.ErrClaimLost) {
			t.Errorf("attempt %d: the dead maker's WarmReady: %v, want ErrClaimLost", attempt, err)
		}
	}
	for name, err := range map[string]error{
		"WarmReady":  f.WarmReady(t.Context(), zombie),
		"ForgetWarm": f.ForgetWarm(t.Context(), zombie),
		"Extend":     f.Extend(t.Context(), zombie, "", time.Hour),
		"Yield":      f.ReleaseClaim(t.Context(), zombie, 0),
		"Activate":   f.Activate(t.Context(), claims[0]),
	} {
		if !errors.Is(err, catalog.ErrClaimLost) {
			t.Errorf("%s: %v, want ErrClaimLost", name, err)
		}
	}
	if _, err := f.PlanWarm(t.Context(), warm("w2")); !errors.Is(err, catalog.ErrNotWanted) {
		t.Errorf("the one before is not cleared away: %v", err)
	}
	must(t, f.ForgetWarm(t.Context(), claims[0]))
	f.plan(t, "w2")
}

func TestStockThatNobodyWantsIsRetired(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.stock(t, "w1")
	f.plan(t, "w2")
	age := func() {
		f.exec(t, `UPDATE pgtenancy.warm_databases SET wanted_at = now() - $1::interval,
			claim_expires = now() - interval '1 second'`, 2*wanted)
	}
	age()
	must(t, f.WantWarm(t.Context(), "s1", "hash"))
	if claims := f.claimWarm(t); len(claims) != 1 || claims[0].Tenant.ID != "w2" ||
		claims[0].Tenant.State != tenancy.Provisioning {
		t.Fatalf("claimed %d of a stock that is wanted", len(claims))
	}
	age()
	must(t, f.WantWarm(t.Context(), "s1", "newer"))
	claims := f.claimWarm(t, func(w *catalog.WarmWork) { w.SchemaHash = "newer" })
	if len(claims) != 2 || claims[0].Tenant.State != tenancy.Deleting || claims[1].Tenant.State != tenancy.Failing {
		t.Fatalf("claimed %d", len(claims))
	}
	if c, err := f.Reserve(t.Context(), warmReservation(t, "acme")); err != nil || c.Warm {
		t.Errorf("a sign-up got a database that is out of stock: %v", err)
	}
	for _, c := range claims {
		must(t, f.ForgetWarm(t.Context(), c))
	}
}

// TestWarmDatabaseWhosePasswordDoesNotOpenIsRetired keeps one broken row from failing every sign-up.
func TestWarmDatabaseWhosePasswordDoesNotOpenIsRetired(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.stock(t, "w1", "w2")
	f.exec(t, `UPDATE pgtenancy.warm_databases SET password = 'x' WHERE id = 'w1'`)
	for _, c := range []struct {
		name string
		want tenancy.ID
	}{{"first", "first"}, {"second", "w2"}} {
		got, err := f.Reserve(t.Context(), warmReservation(t, c.name))
		must(t, err)
		if got.Tenant.ID != c.want {
			t.Errorf("%s got %q, want %q", c.name, got.Tenant.ID, c.want)
		}
	}
	if claims := f.claimWarm(t); len(claims) != 1 || claims[0].Tenant.ID != "w1" ||
		claims[0].Tenant.State != tenancy.Deleting {
		t.Errorf("claimed %d to be dropped", len(claims))
	}
}

// TestReserveDoesNotWaitForAWarmDatabaseThatIsBeingRetired: work on the stock never delays a sign-up.
func TestReserveDoesNotWaitForAWarmDatabaseThatIsBeingRetired(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.stock(t, "w1", "w2")
	tx, err := f.pool.Begin(t.Context())
	must(t, err)
	defer tx.Rollback(t.Context())
	_, err = tx.Exec(t.Context(), `SELECT FROM pgtenancy.warm_databases WHERE id = 'w1' FOR UPDATE`)
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	c, err := f.Reserve(ctx, warmReservation(t, "acme"))
	must(t, err)
	if c.Tenant.ID != "w2" {
		t.Errorf("got %q", c.Tenant.ID)
	}
}
