package provision_test

import (
	"context"
	"errors"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/failpoint"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// inSeed is a point in the transaction of the seed.
const inSeed = "after seed's writes"

// stoppable is a schema whose Build reaches a point before it connects.
type stoppable struct {
	*sqlSchema
	points *failpoint.Set
}

func (s *stoppable) Build(ctx context.Context, cfg *pgx.ConnConfig) error {
	if err := s.points.Before(ctx, "build"); err != nil {
		return err
	}
	return s.sqlSchema.Build(ctx, cfg)
}

// lateSeed is seedAdmin, marked by a row of its own, with a point before its commit.
func lateSeed(points *failpoint.Set) func(context.Context, pgx.Tx, provision.Seed) error {
	return func(ctx context.Context, tx pgx.Tx, s provision.Seed) error {
		_, err := tx.Exec(ctx, "INSERT INTO members (name) VALUES ('late')")
		return errors.Join(err, seedAdmin(ctx, tx, s), points.After(ctx, "seed's writes"))
	}
}

// stop starts a process that does as c says and waits until it is stopped at c's point.
func (f *fixture) stop(t *testing.T, c child) *exec.Cmd {
	t.Helper()
	f.ledger(t)
	c.Signal = syscall.SIGSTOP
	cmd, _ := f.command(t, c)
	must(t, cmd.Start())
	eventually(t, "stopped", func() bool { return stopped(t, cmd.Process.Pid) })
	return cmd
}

// resume lets a stopped process go on to its end.
func resume(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	must(t, cmd.Process.Signal(syscall.SIGCONT))
	must(t, cmd.Wait())
}

// impatient is a provisioner that waits for no more than a second for processes that were stopped.
func (f *fixture) impatient(t *testing.T, change ...func(*provision.Config)) *provision.Provisioner {
	t.Helper()
	ttl := func(c *provision.Config) { c.ClaimTTL = 500 * time.Millisecond }
	return f.provisioner(t, append(change, ttl)...)
}

// soon is a context that ends long before any patience with a process that is stopped for ever.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// TestStoppedSuspensionHoldsUpNobody guards Suspend and the reconciler, which waited for the lock of a process that was
// stopped under it for as long as it was.
func TestStoppedSuspensionHoldsUpNobody(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	tenant := f.create(t, f.provisioner(t), "acme").Tenant
	p := f.impatient(t)

	cmd := f.stop(t, child{ID: "acme", Change: "suspend", Point: "before close"})
	must(t, p.Suspend(soon(t), "acme"))
	if _, err := f.connect(t.Context(), tenant, tenant.Endpoint.Database); err == nil {
		t.Error("suspended, and its database is open")
	}
	must(t, p.Resume(t.Context(), "acme"))
	resume(t, cmd)

	f.settled(t, p, "acme")
	cmd = f.stop(t, child{ID: "acme", Change: "suspend", Point: "before close"})
	pass, err := p.Reconcile(soon(t))
	must(t, err)
	if len(pass.AccessFixed) != 1 {
		t.Errorf("settled %v", pass.AccessFixed)
	}
	must(t, p.Resume(t.Context(), "acme"))
	resume(t, cmd)
	f.settled(t, p, "acme")
}

// settled makes sure that a tenant is active, can log in with the password that the registry has, and needs no mending.
func (f *fixture) settled(t *testing.T, p *provision.Provisioner, id tenancy.ID) {
	t.Helper()
	tenant, err := f.reg.Lookup(t.Context(), id)
	must(t, err)
	conn, err := f.connect(t.Context(), tenant, tenant.Endpoint.Database)
	must(t, err)
	must(t, conn.Close(t.Context()))
	pass, err := p.Reconcile(t.Context())
	must(t, err)
	if tenant.State != tenancy.Active || len(pass.AccessFixed) != 0 {
		t.Errorf("%s is %s, settled %v", id, tenant.State, pass.AccessFixed)
	}
}

// TestStoppedRotationLeavesThePasswordThatTheRegistryHas stops rotations before and after they told the registry, and
// has others go past them.
func TestStoppedRotationLeavesThePasswordThatTheRegistryHas(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.create(t, f.provisioner(t), "acme")
	p := f.impatient(t)
	for _, point := range []string{"before store password", "after store password"} {
		cmd := f.stop(t, child{ID: "acme", Change: "rotate", Point: point})
		must(t, p.RotatePassword(soon(t), "acme"))
		f.settled(t, p, "acme")
		resume(t, cmd)
		f.settled(t, p, "acme")
	}
	cmd := f.stop(t, child{ID: "acme", Change: "rotate", Point: "after store password"})
	must(t, p.Suspend(soon(t), "acme"))
	must(t, p.Resume(t.Context(), "acme"))
	tenant, err := f.reg.Lookup(t.Context(), "acme")
	must(t, err)
	if _, err := f.connect(t.Context(), tenant, tenant.Endpoint.Database); state(err) != "28P01" {
		t.Fatalf("the rotation was not stopped between its commits: %v", err)
	}
	resume(t, cmd)
	f.settled(t, p, "acme")
}

// TestStoppedBuilderHoldsUpNobodyAndSpoilsNothing guards sign-ups, which waited for the lock of a process that was
// stopped while it built the template. It goes on while another builds.
func TestStoppedBuilderHoldsUpNobodyAndSpoilsNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	cmd := f.stop(t, child{ID: "a", Point: "before build", TTL: time.Hour}) // it does not notice that its session is lost
	points := failpoint.New()
	points.On("before build", func(context.Context) error { resume(t, cmd); return nil })
	p := f.impatient(t, func(c *provision.Config) { c.Schema = &stoppable{f.schema, points} })
	must(t, p.PrepareTemplate(soon(t), "one"))
	f.create(t, f.provisioner(t), "b")
	if n := f.schema.built.Load(); n != 1 {
		t.Errorf("built %d times", n)
	}
	f.reconcile(t, f.provisioner(t), f.active("b"))
}

// TestSlowBuilderIsLeftAlone has a build take longer than anybody would wait for a process that shows no life.
func TestSlowBuilderIsLeftAlone(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.schema.build += "; SELECT pg_sleep(2.2)"
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if err := f.impatient(t).PrepareTemplate(t.Context(), "one"); err != nil {
				t.Error(err)
			}
		})
	}
	pgtest.Wait(t, "every goroutine ends", wg.Wait)
	if n := f.schema.built.Load(); n != 1 {
		t.Errorf("built %d times", n)
	}
}

// TestStoppedSeedHoldsUpNobodyAndNeverCommits guards those that take a sign-up over: they waited for the rows of a seed
// that was stopped before its commit, until every attempt was used up.
func TestStoppedSeedHoldsUpNobodyAndNeverCommits(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	l := f.ledger(t)
	p := f.provisioner(t, func(c *provision.Config) { c.SideEffects = l.steps(nil) })
	cmd := f.stop(t, child{ID: "acme", Point: inSeed})
	ctx := soon(t)
	eventually(t, "finished", func() bool {
		_, err := p.Reconcile(ctx)
		must(t, err)
		return f.residue(t) == f.active("acme")
	})
	resume(t, cmd)
	got := f.list(t, f.in(f.prefix+"acme"), "SELECT name FROM members UNION ALL SELECT role FROM admins")
	if got != "PRIMARY" {
		t.Errorf("the database has %q", got)
	}
}
