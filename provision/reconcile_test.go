package provision_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

func failingSeed(c *provision.Config) {
	c.Seed = func(context.Context, pgx.Tx, provision.Seed) error { return errBroken }
}

func TestReconcileReportsWhatIsNobodysAndWhatIsMissing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.create(t, f.provisioner(t), "old") // makes the template of an old schema, which is no stranger
	f.schema = &sqlSchema{build: members + ";" + notes}
	p := f.provisioner(t)
	f.create(t, p, "lost")
	quoted := func(name string) string { return pgx.Identifier{f.prefix + name}.Sanitize() }
	must(t, execute(t.Context(), f.admin, "DROP DATABASE "+quoted("lost")))
	must(t, execute(t.Context(), f.admin, "CREATE DATABASE "+quoted("stranger")))
	must(t, execute(t.Context(), f.admin, "CREATE DATABASE "+quoted("Not an id")))
	must(t, execute(t.Context(), f.admin, "CREATE DATABASE "+quoted("_model_theirs")))
	must(t, execute(t.Context(), f.admin, "CREATE DATABASE "+quoted("_template_theirs")))
	must(t, execute(t.Context(), f.admin,
		"CREATE DATABASE "+quoted("_model_ours")+" OWNER "+quoted("_owner"))) // its maker died
	must(t, execute(t.Context(), f.admin, "CREATE ROLE "+quoted("strange_role")))

	pass, err := p.Reconcile(t.Context())
	must(t, err)
	slices.Sort(pass.Unknown)
	want := []string{
		f.prefix + "Not an id", f.prefix + "_model_theirs", f.prefix + "_template_theirs",
		f.prefix + "stranger",
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, pass.Unknown); diff != "" {
		t.Errorf("unknown: %s", diff)
	}
	if diff := cmp.Diff([]tenancy.ID{"lost"}, pass.Missing); diff != "" {
		t.Errorf("missing: %s", diff)
	}
	if diff := cmp.Diff([]string{f.prefix + "strange_role"}, pass.UnknownRoles); diff != "" {
		t.Errorf("roles: %s", diff)
	}
	got := f.residue(t)
	if !strings.Contains(got, "stranger") || strings.Contains(got, "_model_ours") ||
		strings.Contains(got, "database:"+f.prefix+"lost") {
		t.Errorf("afterwards: %s", got)
	}
	must(t, execute(t.Context(), f.admin, "DROP DATABASE "+quoted("Not an id"))) // sweep splits names at spaces
}

// A DROP DATABASE that is interrupted leaves a database that can only be dropped again.
func TestHalfDroppedDatabasesAreDroppedAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	p := f.provisioner(t)
	f.create(t, p, "a")
	breakIt := func(id string) {
		must(t, execute(t.Context(), f.admin,
			"UPDATE pg_database SET datconnlimit = -2 WHERE datname = '"+f.prefix+id+"'"))
	}
	breakIt("a")
	must(t, p.Drop(t.Context(), "a"))
	if got := f.residue(t); got != "" {
		t.Errorf("left: %s", got)
	}
	tries := 0
	again := f.provisioner(t, func(c *provision.Config) {
		c.Observer.StepEnded = func(id tenancy.ID, step string, _ time.Duration, _ error) {
			if step != "database" {
				return
			}
			if tries++; tries == 1 {
				breakIt(string(id))
			}
		}
	})
	if _, err := again.Create(t.Context(), request(t, "b", "b@example.org")); err == nil {
		t.Fatal("a broken database was given away")
	}
	f.reconcile(t, again, "")
}

func TestServerThatIsDownDoesNotHoldUpTheOthers(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.putServer(t, "down", "127.0.0.1", 1)
	p := f.provisioner(t, failingSeed)
	for _, id := range []string{"d1", "d2", "d3", "u1", "u2"} {
		req := request(t, id, id+"@example.org")
		req.Server = map[byte]string{'d': "down", 'u': "one"}[id[0]]
		if _, err := p.Create(t.Context(), req); err == nil {
			t.Fatal("no error")
		}
	}
	pass, err := p.Reconcile(t.Context())
	if err == nil || !strings.Contains(err.Error(), `server "down": connect: connection refused`) {
		t.Errorf("%v", err)
	}
	slices.Sort(pass.Undone)
	if diff := cmp.Diff([]tenancy.ID{"u1", "u2"}, pass.Undone); diff != "" || len(pass.Retried) != 3 {
		t.Errorf("undone: %s; retried: %v", diff, pass.Retried)
	}
	f.putServer(t, "down", f.admin.Host, f.admin.Port)
	f.reconcile(t, p, "")
}

// TestSickTenantDoesNotMakeItsServerSick guards the sign-ups of a server against one whose own database takes no
// connections: they were left out, and undone when that had happened often enough.
func TestSickTenantDoesNotMakeItsServerSick(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.abandon(t, "sick", "one")
	p := f.provisioner(t, func(c *provision.Config) {
		c.Interval = time.Hour // the sick one is not tried again
		c.Observer.StepStarted = func(id tenancy.ID, step string) {
			if id == "sick" && step == "seed" {
				must(t, execute(t.Context(), f.admin, "ALTER DATABASE "+
					pgx.Identifier{f.prefix + "sick"}.Sanitize()+" ALLOW_CONNECTIONS false"))
			}
		}
		c.Observer.StepEnded = func(id tenancy.ID, step string, _ time.Duration, _ error) {
			if id == "sick" && step == "seed" {
				f.abandon(t, "well1", "one")
				f.abandon(t, "well2", "one")
			}
		}
	})
	pass, err := p.Reconcile(t.Context())
	must(t, err)
	slices.Sort(pass.Finished)
	if diff := cmp.Diff([]tenancy.ID{"well1", "well2"}, pass.Finished); diff != "" ||
		state(pass.Retried["sick"]) != "55000" {
		t.Errorf("finished: %s; retried: %v", diff, pass.Retried)
	}
}

// TestSignUpsAreNotUndoneUntried guards those that wait while their server is down.
func TestSignUpsAreNotUndoneUntried(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.putServer(t, "down", "127.0.0.1", 1)
	ids := []string{"a", "b", "c", "d"}
	for _, id := range ids {
		f.abandon(t, id, "down")
	}
	var mu sync.Mutex // guards tries
	tries := map[tenancy.ID]int64{}
	p := f.provisioner(t, func(c *provision.Config) {
		c.Interval = 10 * time.Millisecond
		c.Observer.StepEnded = func(id tenancy.ID, step string, _ time.Duration, _ error) {
			if step == "database" {
				mu.Lock()
				defer mu.Unlock()
				tries[id]++
			}
		}
	})
	for range 5 {
		_, _ = p.Reconcile(t.Context()) // the server is down
		for _, id := range ids {
			tenant, err := f.reg.Tenant(t.Context(), tenancy.ID(id))
			must(t, err)
			switch n := tries[tenant.ID]; {
			case tenant.State == tenancy.Provisioning && tenant.Attempt != 1+n:
				t.Errorf("%s: attempt %d after %d tries", id, tenant.Attempt, n)
			case tenant.State == tenancy.Failing && n != 2: // of three attempts, the first was that of the process that died
				t.Errorf("%s was given up after %d tries", id, n)
			}
		}
	}
}

func TestRunUndoesAFailedSignUpAtOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	p := f.provisioner(t, failingSeed, func(c *provision.Config) { c.Interval = time.Hour })
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	for range 2 {
		if _, err := p.Create(t.Context(), request(t, "", "a@example.org")); err == nil {
			t.Fatal("no error")
		}
		eventually(t, "nothing left", func() bool { return f.residue(t) == "" })
	}
	cancel()
	if err := pgtest.Receive(t, "Run ends", ended); err != nil {
		t.Error(err)
	}
}

func TestSignUpThatFailsInTheReconcilerIsTriedAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_ = f.start(t, "acme", "before seed", syscall.SIGKILL).Wait()
	tries := 0
	p := f.provisioner(t, func(c *provision.Config) {
		c.SideEffects = newWorld().steps(func(context.Context, string) error { return nil })
		c.Seed = func(context.Context, pgx.Tx, provision.Seed) error {
			if tries++; tries == 1 {
				return errBroken
			}
			return nil
		}
	})
	f.reconcile(t, p, f.active("acme"))
	if tries != 2 {
		t.Errorf("%d tries", tries)
	}
}

// TestUnreadableRowHoldsUpNobody breaks a sealed value, as a key that was retired too early does, of a sign-up that was
// abandoned: to go on with it, its password must be known.
func TestUnreadableRowHoldsUpNobody(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	broken := f.provisioner(t, failingSeed)
	for _, id := range []string{"broken", "sound"} {
		if _, err := broken.Create(t.Context(), request(t, id, id+"@example.org")); err == nil {
			t.Fatal("the seed did not fail")
		}
	}
	cfg := f.regCfg.Copy()
	pool, err := pgxpool.NewWithConfig(context.WithoutCancel(t.Context()), cfg)
	must(t, err)
	defer pool.Close()
	_, err = pool.Exec(t.Context(), `UPDATE pgtenancy.tenants SET state = 'provisioning', claim_expires = now();
		UPDATE pgtenancy.tenants SET password = '\x00' WHERE id = 'broken'`)
	must(t, err)
	pass, err := f.provisioner(t).Reconcile(t.Context())
	if err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("the unreadable row is not reported: %v", err)
	}
	if len(pass.Finished) != 1 || pass.Finished[0] != "sound" || len(pass.Undone) > 0 {
		t.Errorf("finished %v, undone %v, want the other one to be finished", pass.Finished, pass.Undone)
	}
}
