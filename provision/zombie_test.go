package provision_test

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// TestStoppedProcessCanDoNothingAfterItsClaim stops processes in the middle of a sign-up, and lets each go on when another
// has finished its work: a tenant that was finished stays as it is, and one that was dropped since stays away.
func TestStoppedProcessCanDoNothingAfterItsClaim(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	l := f.ledger(t)
	p := f.provisioner(t, func(c *provision.Config) { c.ClaimTTL, c.Steps = crashTTL, l.steps(nil) })
	must(t, p.PrepareTemplate(t.Context(), "one"))
	points := []string{
		"before database", "before activate", "after database", "before wall", "before seed", "after seed",
		"before end of step:dns", "after step:dns",
	}
	zombies := pgtest.Size(4, 100)
	defer pgtest.Figure(t, "P4", "%d processes stopped past their claim and woken", zombies)
	for i := range zombies {
		id, point := fmt.Sprintf("z%d", i), points[i%len(points)]
		cmd := f.start(t, id, point, syscall.SIGSTOP)
		eventually(t, "stopped", func() bool { return stopped(t, cmd.Process.Pid) })
		eventually(t, "taken over", func() bool {
			pass, err := p.Reconcile(t.Context())
			must(t, err)
			return len(pass.Finished)+len(pass.Undone) == 1 // a busy machine may need more attempts than there are
		})
		if i/2%2 == 0 {
			if err := p.Drop(t.Context(), tenancy.ID(id)); err != nil && !errors.Is(err, tenancy.ErrNotFound) {
				t.Fatal(err)
			}
		}
		before := f.whole(t)
		must(t, cmd.Process.Signal(syscall.SIGCONT))
		must(t, cmd.Wait())
		if after := f.whole(t); after != before {
			t.Fatalf("%s: before %q, after %q", point, before, after)
		}
	}
	f.takeCensus(t).check(t, answers{})
}

// whole is everything that a zombie could have changed.
func (f *fixture) whole(t *testing.T) string {
	t.Helper()
	rows := f.list(t, f.regCfg.ConnConfig, `
		SELECT concat_ws(':', id, state, attempt, epoch, claim_owner) FROM pgtenancy.tenants
		UNION ALL SELECT key FROM ledger
		UNION ALL SELECT concat_ws(':', tenant_id, name, state) FROM pgtenancy.steps ORDER BY 1`)
	return strings.Join([]string{f.residue(t), rows}, " ")
}
