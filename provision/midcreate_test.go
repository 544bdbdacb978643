package provision_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// TestProcessKilledWhileItsDatabaseIsMade kills processes whose CREATE DATABASE goes on without them: a session on the
// template holds it up. Another process, which must not act before it knows the outcome, finishes the sign-up in one
// round and undoes it in the next.
func TestProcessKilledWhileItsDatabaseIsMade(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	finishes := f.rescuer(t)
	undoes := f.rescuer(t, func(c *provision.Config) { c.Attempts = 1 })
	template := f.prefix + "_template_" + f.schema.Hash()
	must(t, execute(t.Context(), f.admin, "ALTER DATABASE "+pgx.Identifier{template}.Sanitize()+" ALLOW_CONNECTIONS true"))
	rounds, outlived := pgtest.Size(2, 50), 0
	for i := range rounds {
		id := fmt.Sprintf("m%d", i)
		session, err := pgx.ConnectConfig(t.Context(), f.in(template))
		must(t, err)
		cmd := f.start(t, id, "", 0)
		eventually(t, "creating", func() bool { return f.creating(t, id) })
		must(t, cmd.Process.Kill())
		_ = cmd.Wait()
		p := []*provision.Provisioner{finishes, undoes}[i%2]
		ended := make(chan *provision.ReconcileReport, 1)
		go func() {
			pass := &provision.ReconcileReport{}
			for len(pass.Finished)+len(pass.Undone) == 0 && t.Context().Err() == nil {
				pass, _ = p.Reconcile(t.Context())
			}
			ended <- pass
		}()
		eventually(t, "taken over", func() bool {
			tenant, err := f.reg.Tenant(t.Context(), tenancy.ID(id))
			return errors.Is(err, tenancy.ErrNotFound) || err == nil && tenant.Attempt > 1 // not found: undone already
		})
		// PostgreSQL waits for the session for 5 s, which may be over by now on a busy machine.
		if f.creating(t, id) {
			outlived++
			if len(ended) > 0 {
				t.Errorf("%s: the sign-up was ended while its database was being made", id)
			}
		}
		must(t, session.Close(t.Context()))
		if pass := pgtest.Receive(t, "the reconciler ends", ended); len(pass.Finished) != 1-i%2 || len(pass.Undone) != i%2 {
			t.Errorf("%s: %+v", id, pass)
		}
		f.takeCensus(t).check(t, answers{})
	}
	c := f.takeCensus(t)
	c.check(t, answers{})
	if outlived == 0 || len(c.active) != (rounds+1)/2 {
		t.Errorf("%d creates outlived their process, %d tenants are there", outlived, len(c.active))
	}
	pgtest.Figure(t, "P5", "%d of %d creates outlived their process: %d whole, %d flaws", outlived, rounds,
		len(c.active), len(c.flaws))
}

// creating reports whether a session is making the database of tenant id.
func (f *fixture) creating(t *testing.T, id string) bool {
	t.Helper()
	return f.list(t, f.admin, `SELECT 'yes' FROM pg_stat_activity
		WHERE state = 'active' AND starts_with(query, 'CREATE DATABASE ' || quote_ident($1 || $2) || ' ')
		   OR state = 'active' AND starts_with(query, 'CREATE DATABASE "' || $1 || $2 || '" ')`, f.prefix, id) != ""
}
