package provision_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

const warmChildVar = "PGTENANCY_TEST_WARM_CHILD"

// TestWarmChildProcess is the body of the processes that the tests below start and that are killed at child.Point. With
// an ID the process signs up, and without one it keeps databases warm.
func TestWarmChildProcess(t *testing.T) {
	var c child
	if json.Unmarshal([]byte(os.Getenv(warmChildVar)), &c) != nil {
		return
	}
	f, _ := c.fixture(t)
	die := func(where string) {
		if where == c.Point {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	p := f.provisioner(t, warm(1), func(cfg *provision.Config) {
		cfg.ClaimTTL = crashTTL
		cfg.Observer.StepStarted = func(_ tenancy.ID, step string) { die(step + "/begin") }
		cfg.Observer.StepEnded = func(_ tenancy.ID, step string, _ time.Duration, _ error) { die(step + "/end") }
	})
	if c.ID == "" {
		must(t, p.Run(t.Context()))
	}
	_, err := p.Create(t.Context(), request(t, "", "x"+c.ID+"@example.org"))
	t.Fatalf("lived on: %v", err)
}

// kill runs a process until it dies at where.
func (f *fixture) kill(t *testing.T, id, where string) {
	t.Helper()
	told, err := json.Marshal(child{
		Host: f.admin.Host, Port: f.admin.Port, User: f.admin.User, Password: f.admin.Password,
		Registry: f.regCfg.ConnConfig.Database, Prefix: f.prefix, ID: id, Point: where,
	})
	must(t, err)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestWarmChildProcess$", "-test.v")
	cmd.Env = append(os.Environ(), warmChildVar+"="+string(told))
	out, err := cmd.CombinedOutput()
	if err == nil || !cmd.ProcessState.Sys().(syscall.WaitStatus).Signaled() {
		t.Fatalf("%s: not killed: %v\n%s", where, err, out)
	}
}

// TestKilledWarmSignUpIsFinishedByAnother kills processes between their claim of a warm database and the commit.
func TestKilledWarmSignUpIsFinishedByAnother(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	p := f.provisioner(t, func(c *provision.Config) { c.ClaimTTL = crashTTL })
	where := []string{"seed/begin", "seed/end", "activate/begin"}
	ids := f.warmed(t, len(where))
	for i, w := range where {
		f.kill(t, string(rune('a'+i)), w)
	}
	if left := f.stock(t); len(left) != 0 {
		t.Fatalf("left in stock: %v", left)
	}
	slices.Sort(ids)
	f.reconcile(t, p, f.active(texts(ids)...))
	for _, id := range ids {
		tenant, err := f.reg.Lookup(t.Context(), id)
		must(t, err)
		admin := f.list(t, f.regCfg.ConnConfig, "SELECT id FROM pgtenancy.admins WHERE tenant_id = $1", string(id))
		f.usable(t, tenant, admin)
		must(t, p.Drop(t.Context(), id))
	}
	if got := f.residue(t); got != "" {
		t.Errorf("left: %s", got)
	}
}

func texts(ids []tenancy.ID) (all []string) {
	for _, id := range ids {
		all = append(all, string(id))
	}
	return all
}

// TestDatabaseOfAKilledKeeperIsFinished kills keepers in the middle. Each time the next process finishes what it finds,
// and makes no second one.
func TestDatabaseOfAKilledKeeperIsFinished(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	p := f.provisioner(t, func(c *provision.Config) { c.ClaimTTL = crashTTL })
	must(t, p.PrepareTemplate(t.Context(), "one"))
	for i, where := range []string{
		"warm:database/begin", "warm:database/end", "warm:access/begin", "warm:access/end", "warm:ready/begin",
	} {
		f.kill(t, "", where)
		if got := f.stock(t); len(got) != 0 {
			t.Fatalf("%s: in stock: %v", where, got)
		}
		var finished []tenancy.ID
		eventually(t, where+": finished", func() bool {
			pass, err := p.Reconcile(t.Context())
			must(t, err)
			finished = append(finished, pass.Stocked...)
			return len(finished) == 1 && len(f.stock(t)) == 1
		})
		made, err := p.Create(t.Context(), unnamed(t, i))
		must(t, err)
		if made.Tenant.ID != finished[0] {
			t.Errorf("%s: finished %v, and a sign-up got %q", where, finished, made.Tenant.ID)
		}
		f.usable(t, made.Tenant, made.Admin.ID)
		must(t, p.Drop(t.Context(), made.Tenant.ID))
	}
	if got := f.residue(t); got != "" {
		t.Errorf("left: %s", got)
	}
}

// TestDatabaseThatCannotBeMadeIsDroppedAfterItsLastAttempt breaks a keeper each time it has made the database.
func TestDatabaseThatCannotBeMadeIsDroppedAfterItsLastAttempt(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var begun atomic.Int64
	broken := f.provisioner(t, func(c *provision.Config) {
		c.Attempts, c.Interval = 2, time.Millisecond
		c.Observer.StepStarted = func(_ tenancy.ID, step string) {
			if step == "warm:access" {
				begun.Add(1)
				panic(errBroken)
			}
		}
	}, warm(1))
	stop := run(t, broken)
	eventually(t, "given up", func() bool {
		return begun.Load() >= 4 // the first was tried twice, and dropped, before there was another
	})
	stop()
	if n := len(strings.Fields(f.list(t, f.admin, `SELECT datname::text FROM pg_database
		WHERE starts_with(datname, $1) AND NOT starts_with(datname, $1 || '_')`, f.prefix))); n > 1 {
		t.Errorf("%d databases are left", n)
	}
	sound := f.provisioner(t)
	f.exec(t, "UPDATE pgtenancy.warm_databases SET claim_expires = now(), wanted_at = now() - interval '1 hour'")
	_, err := sound.Reconcile(t.Context())
	must(t, err)
	if got := f.residue(t); got != "" {
		t.Errorf("left: %s", got)
	}
}
