package provision_test

import (
	"errors"
	"fmt"
	"sync"
	"syscall"
	"testing"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// TestStoppedProcessCanDoNothingAfterItsClaim stops processes in the middle of a sign-up, and lets each go on when
// another has finished its work: a tenant that was finished stays as it is, and a tenant that was dropped since stays
// away.
func TestStoppedProcessCanDoNothingAfterItsClaim(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	l := f.ledger(t)
	p := f.provisioner(t, func(c *provision.Config) { c.ClaimTTL, c.SideEffects = crashTTL, l.steps(nil) })
	must(t, p.PrepareTemplate(t.Context(), "one"))
	run(t, p)
	points := []string{
		"before database", "before activate", "after database", "before access", "before seed", "after seed",
		"before end of step:dns", "after step:dns",
	}
	zombies := pgtest.Size(4, 100)
	slot := make(chan struct{}, 4)
	var wg sync.WaitGroup
	for i := range zombies {
		slot <- struct{}{}
		wg.Go(func() {
			defer func() { <-slot }()
			id, point := fmt.Sprintf("z%d", i), points[i%len(points)]
			t.Run(id, func(t *testing.T) { f.zombie(t, p, tenancy.ID(id), point, i/2%2 == 0) })
		})
	}
	pgtest.Wait(t, "every goroutine ends", wg.Wait)
	f.takeCensus(t).check(t, answers{})
	pgtest.Figure(t, "P4", "%d processes stopped past their claim and woken", zombies)
}

// zombie stops a process at point of its sign-up, lets p end it, and perhaps drops what was made; and wakes the
// process.
func (f *fixture) zombie(t *testing.T, p *provision.Provisioner, id tenancy.ID, point string, drops bool) {
	cmd := f.start(t, string(id), point, syscall.SIGSTOP)
	eventually(t, "stopped", func() bool { return stopped(t, cmd.Process.Pid) })
	eventually(t, "taken over", func() bool {
		tenant, err := f.reg.Tenant(t.Context(), id)
		if errors.Is(err, tenancy.ErrNotFound) {
			return true // a busy machine may need more attempts than there are
		}
		must(t, err)
		return tenant.State == tenancy.Active
	})
	if drops {
		if err := p.Drop(t.Context(), id); err != nil && !errors.Is(err, tenancy.ErrNotFound) {
			t.Fatal(err)
		}
	}
	before := f.whole(t, id)
	must(t, cmd.Process.Signal(syscall.SIGCONT))
	must(t, cmd.Wait())
	if after := f.whole(t, id); after != before {
		t.Errorf("%s: before %q, after %q", point, before, after)
	}
}

// whole is everything of a tenant that a zombie could have changed.
func (f *fixture) whole(t *testing.T, id tenancy.ID) string {
	t.Helper()
	onServer := f.list(t, f.admin, `
		SELECT 'database' FROM pg_database WHERE datname = $1 UNION ALL SELECT 'role' FROM pg_roles WHERE rolname = $1`,
		f.prefix+string(id))
	rows := f.list(t, f.regCfg.ConnConfig, `
		SELECT concat_ws(':', id, state, attempt, epoch, claim_owner) FROM pgtenancy.tenants WHERE id = $1
		UNION ALL SELECT 'email' FROM pgtenancy.admin_email_index WHERE tenant_id = $1
		UNION ALL SELECT key FROM ledger WHERE starts_with(key, $1 || '/')
		UNION ALL SELECT concat_ws(':', tenant_id, name, state) FROM pgtenancy.steps WHERE tenant_id = $1 ORDER BY 1`, string(id))
	return onServer + " " + rows
}
