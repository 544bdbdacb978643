package provision_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/failpoint"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// atNoReturn returns what makes the next DROP DATABASE stop where PostgreSQL cannot take it back any more, before it
// has removed the files, and has it interrupted there by cut. Its end goes to done.
//
// DROP DATABASE has written by then that the database is no more, and looks through the tablespaces for its files: a
// lock on their catalogue holds it up, and everything on that server that needs the catalogue, for a minute at most. So
// the server is the test's own, and nothing that the lock's holder asks meanwhile may need that catalogue.
func (f *fixture) atNoReturn(cut func(pid int) string, cancel context.CancelFunc, done chan<- error) failpoint.Action {
	const waiting = `SELECT l.pid FROM pg_lock_status() l JOIN pg_stat_get_activity(NULL) a ON a.pid = l.pid
		WHERE l.relation = 'pg_tablespace'::regclass AND NOT l.granted
		  AND (NOT $2 OR a.pid = $3) AND starts_with(a.query, 'DROP DATABASE IF EXISTS "' || $1)`
	return failpoint.Once(func(ctx context.Context) error {
		ctx, end := context.WithTimeout(context.WithoutCancel(ctx), pgtest.Patience)
		conn, err := pgx.ConnectConfig(ctx, f.admin)
		if err != nil {
			end()
			return err
		}
		if _, err := conn.Exec(ctx, "BEGIN; LOCK TABLE pg_tablespace"); err != nil {
			end()
			return errors.Join(err, conn.Close(ctx))
		}
		until := func(pid int) (int, error) { // one waits, if pid is 0; and pid does not, if it is not
			for {
				var found int
				err := conn.QueryRow(ctx, waiting, f.prefix, pid != 0, pid).Scan(&found)
				switch gone := errors.Is(err, pgx.ErrNoRows); {
				case err != nil && !gone:
					return 0, err
				case gone == (pid != 0):
					return found, nil
				}
			}
		}
		go func() {
			defer end()
			pid, err := until(0)
			if err == nil {
				cancel()
				_, err = conn.Exec(ctx, cut(pid))
			}
			if err == nil {
				_, err = until(pid)
			}
			done <- errors.Join(err, conn.Close(context.WithoutCancel(ctx)))
		}()
		return nil
	})
}

// TestInterruptedDropKeepsItsNamesUntilItIsEnded interrupts DROP DATABASE at its point of no return, in deletions and
// in the undoing of failed sign-ups: by the end of the caller's context, of the statement, and of the session.
func TestInterruptedDropKeepsItsNamesUntilItIsEnded(t *testing.T) {
	t.Parallel()
	f := newCluster(t, false).fixture(t)
	p := f.provisioner(t)
	ways := map[string]string{
		"terminated": "SELECT pg_terminate_backend(%d)",
		"cancelled":  "SELECT pg_cancel_backend(%d)",
		"given up":   "SELECT %d",
	}
	todo := []string{"terminated", "given up"}
	if pgtest.Full() {
		todo = nil
		for range 20 {
			todo = append(todo, "terminated", "cancelled", "given up")
		}
	}
	for i, way := range todo {
		id, fails := tenancy.ID(fmt.Sprintf("d%d", i)), i%2 == 1
		cut := func(pid int) string { return fmt.Sprintf(ways[way], pid) }
		f.interrupt(t, id, fails, way == "given up", cut)
		f.stillTaken(t, p, id, fails)
		f.exec(t, "UPDATE pgtenancy.tenants SET claim_expires = now()")
		f.reconcile(t, p, "")
		f.bornAnew(t, p, id)
	}
	pgtest.Figure(t, "P8", "%d DROPs interrupted at their point of no return: every name and e-mail stayed taken until "+
		"the next pass had ended them, and no sign-up after that saw what was there before", len(todo))
}

// TestDropThatALockHoldsUpHalfWayGoesOn holds a DROP DATABASE up at its point of no return for longer than its
// lock_timeout, which interrupts it there.
func TestDropThatALockHoldsUpHalfWayGoesOn(t *testing.T) {
	t.Parallel()
	f := newCluster(t, false).fixture(t)
	points, done := failpoint.New(), make(chan error, 1)
	// The session that holds the lock waits twice as long as the statement may.
	hold := func(int) string { return "SELECT pg_sleep(2)" }
	points.On("before drop database", f.atNoReturn(hold, func() {}, done))
	p := f.provisioner(t, func(c *provision.Config) { c.SetFailpoints(points) })
	f.create(t, p, "held")
	must(t, p.Drop(t.Context(), "held"))
	must(t, pgtest.Receive(t, "the lock is given back", done))
	if left := f.residue(t); left != "" {
		t.Errorf("left: %s", left)
	}
}

// interrupt makes a tenant, or one whose sign-up fails, and has its end interrupted by cut, and by the end of its
// context.
func (f *fixture) interrupt(t *testing.T, id tenancy.ID, fails, givesUp bool, cut func(pid int) string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	points, done, giveUp := failpoint.New(), make(chan error, 1), func() {}
	if givesUp {
		giveUp = cancel
	}
	points.On("before drop database", f.atNoReturn(cut, giveUp, done))
	p := f.provisioner(t, func(c *provision.Config) {
		c.Interval = time.Hour // until it tries again
		c.SetFailpoints(points)
	})
	if fails {
		points.On("after seed", failpoint.Error(errBroken))
	}
	result, err := p.Create(ctx, request(t, string(id), "x"+string(id)+"@example.org"))
	if fails != (err != nil) {
		t.Fatal(err)
	}
	if fails {
		var pass *provision.ReconcileReport
		if pass, err = p.Reconcile(ctx); err == nil {
			err = pass.Retried[id]
		}
	} else {
		must(t, execute(t.Context(), f.in(result.Tenant.Endpoint.Database), "INSERT INTO members (name) VALUES ('canary')"))
		err = p.Drop(ctx, id)
	}
	if err == nil {
		t.Errorf("%s: the interrupted end is said to have come", id)
	}
	must(t, pgtest.Receive(t, "a DROP DATABASE waits at its point of no return, is cut, and ends", done))
}

// stillTaken checks that nothing of a tenant is free whose database is half gone.
func (f *fixture) stillTaken(t *testing.T, p *provision.Provisioner, id tenancy.ID, fails bool) {
	t.Helper()
	broken := f.list(t, f.admin, "SELECT datname::text FROM pg_database WHERE datconnlimit = -2 AND "+
		"starts_with(datname, $1)", f.prefix)
	if broken != f.prefix+string(id) {
		t.Fatalf("half dropped: %q", broken)
	}
	tenant, err := f.reg.Tenant(t.Context(), id)
	must(t, err)
	if want := map[bool]tenancy.State{true: tenancy.Failing, false: tenancy.Deleting}[fails]; tenant.State != want {
		t.Errorf("%s is %s, want %s", id, tenant.State, want)
	}
	email := "x" + string(id) + "@example.org"
	if _, err := p.Create(t.Context(), request(t, "", email)); !errors.Is(err, registry.ErrEmailTaken) {
		t.Errorf("a sign-up with the e-mail: %v", err)
	}
	if _, err := p.Create(t.Context(), request(t, string(id), "other"+email)); !errors.Is(err, registry.ErrIDTaken) {
		t.Errorf("a sign-up with the id: %v", err)
	}
}

// bornAnew signs up with the e-mail of a tenant that has gone, and checks that nothing of that one is seen.
func (f *fixture) bornAnew(t *testing.T, p *provision.Provisioner, old tenancy.ID) {
	t.Helper()
	result, err := p.Create(t.Context(), request(t, "", "x"+string(old)+"@example.org"))
	must(t, err)
	saw := f.list(t, f.in(result.Tenant.Endpoint.Database), "SELECT id FROM admins UNION ALL SELECT name FROM members")
	if saw != result.Admin.ID || result.Tenant.ID == old {
		t.Errorf("after %s, tenant %s sees %q; its admin is %q", old, result.Tenant.ID, saw, result.Admin.ID)
	}
	must(t, p.Drop(t.Context(), result.Tenant.ID))
}
