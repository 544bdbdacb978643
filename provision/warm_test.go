package provision_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

func warm(n int) func(*provision.Config) {
	return func(c *provision.Config) { c.Warm, c.WarmInterval = n, time.Millisecond }
}

// run runs p until the test ends or stop is called.
func run(t *testing.T, p *provision.Provisioner) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := p.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	stop = sync.OnceFunc(func() { cancel(); pgtest.Wait(t, "Run ends", wg.Wait) })
	t.Cleanup(stop)
	return stop
}

// warmed fills a stock of n and lets it be.
func (f *fixture) warmed(t *testing.T, n int) []tenancy.ID {
	t.Helper()
	stop := run(t, f.provisioner(t, warm(n)))
	eventually(t, fmt.Sprintf("%d warm databases", n), func() bool { return len(f.stock(t)) == n })
	stop()
	return f.stock(t)
}

// stock is what is ready for sign-ups.
func (f *fixture) stock(t *testing.T) []tenancy.ID {
	t.Helper()
	ids, err := catalog.Of(f.reg).WarmStock(context.WithoutCancel(t.Context()), "one", f.schema.Hash())
	must(t, err)
	return ids
}

func (f *fixture) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	conn, err := pgx.ConnectConfig(t.Context(), f.regCfg.ConnConfig)
	must(t, err)
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), sql, args...)
	must(t, err)
}

// unnamed is a sign-up that takes any id.
func unnamed(t *testing.T, i int) provision.Request {
	return request(t, "", fmt.Sprintf("x%d@example.org", i))
}

// usable checks that the tenant's role can work in its own database, where the admin is.
func (f *fixture) usable(t *testing.T, tenant tenancy.Tenant, admin string) {
	t.Helper()
	conn, err := f.connect(t.Context(), tenant, tenant.Endpoint.Database)
	must(t, err)
	defer conn.Close(t.Context())
	var id, comment string
	must(t, conn.QueryRow(t.Context(), "SELECT id FROM admins").Scan(&id))
	must(t, conn.QueryRow(t.Context(), `SELECT shobj_description(oid, 'pg_database') FROM pg_database
		WHERE datname = current_database()`).Scan(&comment))
	mark, ok := tenancy.ParseOwnerTag(comment)
	if id != admin || !ok || mark.Tenant != tenant.ID || mark.Fenced || mark.Epoch > tenant.Epoch {
		t.Errorf("admin %q, mark %+v", id, mark)
	}
	_, err = conn.Exec(t.Context(), "INSERT INTO members (name) VALUES (shout('bob'))")
	must(t, err)
}

func TestSignUpTakesAWarmDatabase(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ids := f.warmed(t, 2)
	p := f.provisioner(t, func(c *provision.Config) { c.SideEffects = newWorld().steps(unhurt) })
	req := unnamed(t, 1)
	var steps []string
	req.Progress = func(step string) { steps = append(steps, step) }
	made, err := p.Create(t.Context(), req)
	must(t, err)
	if !made.Warm || made.Tenant.ID != ids[0] || made.Tenant.State != tenancy.Active || made.Tenant.Epoch != 2 {
		t.Errorf("warm %t, tenant %+v, stock was %v", made.Warm, made.Tenant, ids)
	}
	if want := []string{"seed", "step:billing", "step:dns", "activate"}; !slices.Equal(steps, want) {
		t.Errorf("steps %q, want %q", steps, want)
	}
	f.usable(t, made.Tenant, made.Admin.ID)
	pass, err := p.Reconcile(t.Context())
	must(t, err)
	if len(pass.Unknown)+len(pass.Missing)+len(pass.AccessFixed)+len(pass.Retired) != 0 {
		t.Errorf("a pass over stock and tenant: %+v", pass)
	}

	must(t, p.Suspend(t.Context(), made.Tenant.ID))
	must(t, p.Resume(t.Context(), made.Tenant.ID))
	must(t, p.RotatePassword(t.Context(), made.Tenant.ID))
	must(t, p.Drop(t.Context(), made.Tenant.ID))
	left := f.prefix + string(ids[1])
	if got, want := f.residue(t), "database:"+left+" role:"+left; got != want {
		t.Errorf("after the drop: %s, want %s", got, want)
	}
}

func unhurt(context.Context, string) error { return nil }

func TestSignUpThatBringsAnIDOrFindsNoStockGetsAClone(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ids := f.warmed(t, 1)
	p := f.provisioner(t)
	named, err := p.Create(t.Context(), request(t, "acme", "a@example.org"))
	must(t, err)
	if conn, err := f.connect(t.Context(), named.Tenant, f.prefix+string(ids[0])); err == nil {
		must(t, conn.Close(t.Context()))
		t.Error("a tenant's role got into a warm database")
	} else if state(err) != "42501" {
		t.Errorf("refused with %v", err)
	}
	first, err := p.Create(t.Context(), unnamed(t, 1))
	must(t, err)
	second, err := p.Create(t.Context(), unnamed(t, 2))
	must(t, err)
	if named.Warm || named.Tenant.ID != "acme" || !first.Warm || second.Warm {
		t.Errorf("named %t, first %t, second %t", named.Warm, first.Warm, second.Warm)
	}
	for _, made := range []*provision.Result{named, first, second} {
		f.usable(t, made.Tenant, made.Admin.ID)
	}
}

// TestNoWarmDatabaseIsHandedOutTwice has 8 sign-ups at once over a stock of 3, some of which fail.
func TestNoWarmDatabaseIsHandedOutTwice(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	stock := f.warmed(t, 3)
	p := f.provisioner(t)
	made := make([]*provision.Result, 8)
	var wg sync.WaitGroup
	for i := range made {
		wg.Go(func() {
			var err error
			if made[i], err = p.Create(t.Context(), unnamed(t, i)); err != nil {
				t.Error(err)
			}
		})
	}
	pgtest.Wait(t, "every goroutine ends", wg.Wait)
	took := map[tenancy.ID]int{}
	for _, m := range made {
		if m == nil {
			continue
		}
		if m.Warm {
			took[m.Tenant.ID]++
		}
		f.usable(t, m.Tenant, m.Admin.ID)
	}
	for _, id := range stock {
		if took[id] != 1 {
			t.Errorf("%q was handed out %d times", id, took[id])
		}
	}
	if len(took) != 3 || len(f.stock(t)) != 0 {
		t.Errorf("took %v, left %v", took, f.stock(t))
	}
}

func TestFailedWarmSignUpLeavesNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.warmed(t, 1)
	p := f.provisioner(t, func(c *provision.Config) {
		c.Seed = func(context.Context, pgx.Tx, provision.Seed) error { return errBroken }
	})
	if _, err := p.Create(t.Context(), unnamed(t, 1)); !errors.Is(err, errBroken) {
		t.Fatal(err)
	}
	_, err := p.Reconcile(t.Context())
	must(t, err)
	if got := f.residue(t); got != "" {
		t.Errorf("left: %s", got)
	}
}

// TestWarmDatabaseThatWasDroppedIsMadeAgain: what an operator did to a database that was nobody's must not fail a
// sign-up.
func TestWarmDatabaseThatWasDroppedIsMadeAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ids := f.warmed(t, 1)
	must(t, execute(t.Context(), f.admin, "DROP DATABASE "+pgx.Identifier{f.prefix + string(ids[0])}.Sanitize()))
	made, err := f.provisioner(t).Create(t.Context(), unnamed(t, 1))
	must(t, err)
	if made.Tenant.ID != ids[0] {
		t.Errorf("tenant %q, want %q", made.Tenant.ID, ids[0])
	}
	f.usable(t, made.Tenant, made.Admin.ID)
}

// TestManyKeepersHoldOneStock runs several keepers while sign-ups take from it.
func TestManyKeepersHoldOneStock(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const most, taken = 2, 2
	for range 3 {
		run(t, f.provisioner(t, warm(most)))
	}
	p, counts := f.provisioner(t), map[string]bool{}
	filled := func() bool {
		counts[f.list(t, f.regCfg.ConnConfig, "SELECT count(*)::text FROM pgtenancy.warm_databases")] = true
		return len(f.stock(t)) == most
	}
	for i := range taken {
		eventually(t, "stock", filled)
		_, err := p.Create(t.Context(), unnamed(t, i))
		must(t, err)
	}
	eventually(t, "stock", filled)
	databases := strings.Fields(f.list(t, f.admin, `SELECT datname::text FROM pg_database
		WHERE starts_with(datname, $1) AND NOT starts_with(datname, $1 || '_')`, f.prefix))
	if delete(counts, "0"); len(databases) != most+taken || counts["3"] {
		t.Errorf("%d databases for %d tenants and a stock of %d; it was %v", len(databases), taken, most, counts)
	}
}

// TestStockOfAnOlderSchemaIsDropped has two releases side by side, and then only the newer one.
func TestStockOfAnOlderSchemaIsDropped(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.warmed(t, 2)
	older := f.stock(t)
	f.schema = &sqlSchema{build: members + "; CREATE TABLE notes (t text)"}
	p := f.provisioner(t)
	pass, err := p.Reconcile(t.Context())
	must(t, err)
	if len(pass.Retired) != 0 {
		t.Fatalf("dropped the stock of a release that may still run: %v", pass.Retired)
	}
	made, err := p.Create(t.Context(), unnamed(t, 1))
	must(t, err)
	if made.Warm {
		t.Error("a sign-up got a database with the older schema")
	}
	f.exec(t, "UPDATE pgtenancy.warm_databases SET wanted_at = now() - interval '1 hour'")
	pass, err = p.Reconcile(t.Context())
	must(t, err)
	slices.Sort(pass.Retired)
	slices.Sort(older)
	if !slices.Equal(pass.Retired, older) {
		t.Errorf("retired %v, want %v", pass.Retired, older)
	}
	must(t, p.Drop(t.Context(), made.Tenant.ID))
	if got := f.residue(t); got != "" {
		t.Errorf("left: %s", got)
	}
}

func TestKeeperLeavesServersThatAreNotOpenAlone(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	err := f.reg.PutServer(t.Context(), registry.Server{
		Name: "full", Host: f.admin.Host, Port: f.admin.Port, State: registry.ServerFull,
	})
	must(t, err)
	f.putServer(t, "away", f.admin.Host, 1) // nobody answers there
	f.warmed(t, 1)
	if got := f.list(t, f.regCfg.ConnConfig, "SELECT id FROM pgtenancy.warm_databases WHERE server = 'full'"); got != "" {
		t.Errorf("made %s", got)
	}
	if n := len(strings.Fields(f.list(t, f.regCfg.ConnConfig,
		"SELECT id FROM pgtenancy.warm_databases WHERE server = 'away'"))); n > 1 {
		t.Errorf("%d rows for a server that is away", n)
	}
}
