package provision_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/pgtenancy/pgtenancy/internal/failpoint"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Every process that adopts is killed at one point; the one that goes on completes the adoption. With one try left, it
// takes it back. The database, its rows and its owner are there in any case.
func TestKilledAdoptionIsCompletedOrTakenBack(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.ledger(t)
	complete := f.provisioner(t, func(c *provision.Config) { c.ClaimTTL = crashTTL })
	takeBack := f.provisioner(t, func(c *provision.Config) { c.ClaimTTL, c.Attempts = crashTTL, 1 })
	must(t, complete.PrepareTemplate(t.Context(), "one"))
	for i, point := range []string{
		"after intent", "before adopt", "after adopt access", "after adopt", "before activate", "after activate",
	} {
		l, id := f.legacy(t, fmt.Sprint(i)), tenancy.ID(fmt.Sprintf("acme%d", i))
		was := l.marks(t)
		p, over := complete, "active"
		if i%2 == 1 && point != "after activate" {
			p, over = takeBack, "gone"
		}
		cmd, _ := f.command(t, child{ID: string(id), Adopt: l.database, Role: l.role, Point: point})
		if err := cmd.Run(); err == nil || !killed(cmd) {
			t.Fatalf("%s: the process was not killed: %v", point, err)
		}
		var state tenancy.State
		eventually(t, point+" comes to its end", func() bool {
			_, err := p.Reconcile(t.Context())
			must(t, err)
			tenant, err := f.reg.Tenant(t.Context(), id)
			if errors.Is(err, tenancy.ErrNotFound) {
				state = "gone"
				return true
			}
			must(t, err)
			state = tenant.State
			return state == tenancy.Active
		})
		if string(state) != over {
			t.Errorf("%s: %s, want %s", point, state, over)
		}
		if state == "gone" && l.marks(t) != was {
			t.Errorf("%s: taken back: %s\nbefore: %s", point, l.marks(t), was)
		}
		if got := f.list(t, l.config(), "SELECT name FROM members"); got != "Ada" {
			t.Errorf("%s: its rows: %q", point, got)
		}
		f.surveyed(t, p)
		if state == tenancy.Active {
			f.killRelease(t, p, l, id, was)
		}
	}
}

// killRelease kills a process that releases the tenant, and lets p go on.
func (f *fixture) killRelease(t *testing.T, p *provision.Provisioner, l *legacy, id tenancy.ID, was string) {
	t.Helper()
	points := []string{"after begin release", "after release"}
	point := points[len(l.database)%2]
	cmd, _ := f.command(t, child{ID: string(id), Change: "release", Point: point})
	if err := cmd.Run(); err == nil || !killed(cmd) {
		t.Fatalf("%s: the process was not killed: %v", point, err)
	}
	eventually(t, "the release comes to its end", func() bool {
		_, err := p.Reconcile(t.Context())
		must(t, err)
		_, err = f.reg.Tenant(t.Context(), id)
		return errors.Is(err, tenancy.ErrNotFound)
	})
	if l.marks(t) != was {
		t.Errorf("released: %s\nbefore: %s", l.marks(t), was)
	}
}

func TestAdoptionThatFailsIsTakenBack(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for i, given := range []bool{true, false} {
		points := failpoint.New()
		p := f.provisioner(t, func(c *provision.Config) { c.SetFailpoints(points) })
		l := f.legacy(t, fmt.Sprint(i))
		was, boom := l.marks(t), errors.New("boom")
		points.On("after adopt access", failpoint.Error(boom))
		req := l.request(tenancy.ID(fmt.Sprintf("acme%d", i)))
		if !given {
			req.Role, req.Password = "", tenancy.Secret{}
		}
		if _, err := p.Adopt(t.Context(), req); !errors.Is(err, boom) {
			t.Errorf("%v", err)
		}
		points.On("after adopt access", nil)
		_, err := p.Reconcile(t.Context())
		must(t, err)
		if l.marks(t) != was || f.residue(t) != f.active() {
			t.Errorf("taken back: %s, left %s\nbefore: %s", l.marks(t), f.residue(t), was)
		}
	}
}
