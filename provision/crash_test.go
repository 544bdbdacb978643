package provision_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/failpoint"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/provision"
)

// survivor is a provisioner whose steps are of world w.
func (f *fixture) survivor(t *testing.T, w *world) *provision.Provisioner {
	t.Helper()
	return f.provisioner(t, func(c *provision.Config) {
		c.ClaimTTL = crashTTL
		c.SideEffects = w.steps(func(context.Context, string) error { return nil })
	})
}

// rescuer is the process that goes on. Its defaults are those of users: what is promised of time is promised of them.
func (f *fixture) rescuer(t *testing.T, change ...func(*provision.Config)) *provision.Provisioner {
	t.Helper()
	l := f.ledger(t)
	p := f.provisioner(t, append([]func(*provision.Config){func(c *provision.Config) {
		c.ClaimTTL, c.Interval = 0, 0
		c.SideEffects = l.steps(nil)
	}}, change...)...)
	must(t, p.PrepareTemplate(t.Context(), "one"))
	return p
}

// wake measures how long what dead processes left takes to come to its end, from the death of the last that worked on
// it.
type wake struct {
	f       *fixture
	mu      sync.Mutex // guards what follows; no I/O while it is held
	deaths  map[int]time.Time
	died    map[string]time.Time // when the last process died that had the tenant
	slowest time.Duration
}

// watch looks at the registry until the end of the test.
func (f *fixture) watch(t *testing.T) *wake {
	w := &wake{f: f, deaths: map[int]time.Time{}, died: map[string]time.Time{}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			if owners, err := f.owners(ctx); err == nil {
				w.look(owners)
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	}()
	t.Cleanup(func() { cancel(); pgtest.Receive(t, "the watch ends", done) })
	return w
}

// owners returns the processes that have, or had last, the claims on tenants that are not at their end; 0 is nobody.
func (f *fixture) owners(ctx context.Context) (map[string]int, error) {
	rows, err := f.pool.Query(ctx, `SELECT id, coalesce(nullif(split_part(claim_owner, '/', 2), ''), '0')::int
		FROM pgtenancy.tenants WHERE state IN ('provisioning', 'failing', 'deleting')`)
	if err != nil {
		return nil, err
	}
	owners := map[string]int{}
	var id string
	var pid int
	_, err = pgx.ForEachRow(rows, []any{&id, &pid}, func() error { owners[id] = pid; return nil })
	return owners, err
}

// die notes the time at which a process that worked on these tenants, and perhaps on others, has died.
func (w *wake) die(pid int, ids ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deaths[pid] = time.Now()
	for _, id := range ids {
		w.died[id] = w.deaths[pid]
	}
}

func (w *wake) look(owners map[string]int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, pid := range owners {
		if at, dead := w.deaths[pid]; dead {
			w.died[id] = at
		}
	}
	for id, at := range w.died {
		if _, unsettled := owners[id]; !unsettled {
			w.slowest = max(w.slowest, time.Since(at))
			delete(w.died, id)
		}
	}
}

// pending is how many have not come to their end.
func (w *wake) pending() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.died)
}

// end waits until all have come to their end, and returns how long the slowest of them took. A long run has the machine
// for itself, and fails if the promise was not kept.
func (w *wake) end(t *testing.T) time.Duration {
	t.Helper()
	w.f.settle(t)
	eventually(t, "seen to be settled", func() bool { return w.pending() == 0 })
	if pgtest.Full() && w.slowest > 10*time.Second {
		t.Errorf("the slowest took %v to come to its end", w.slowest)
	}
	return w.slowest.Round(time.Millisecond)
}

// TestKilledProcessLeavesWholeTenantsOrNothing kills processes at each point of a sign-up, of its failure and of a
// deletion, while another process reconciles.
func TestKilledProcessLeavesWholeTenantsOrNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	run(t, f.rescuer(t))
	rounds, children := pgtest.Size(1, 25), pgtest.Size(2, 4)
	var (
		mu   sync.Mutex // guards said
		said = answers{}
		w    = f.watch(t)
		wg   sync.WaitGroup
		slot = make(chan struct{}, children)
		n    int
	)
	kill := func(c child) {
		n++
		c.ID = fmt.Sprintf("k%d", n)
		c.TTL = 6 * time.Second // the default
		slot <- struct{}{}
		wg.Go(func() {
			defer func() { <-slot }()
			cmd, out := f.command(t, c)
			err := cmd.Run()
			if !killed(cmd) {
				t.Errorf("%s: the process lived: %v", c.Point, err)
			}
			w.die(cmd.Process.Pid, c.ID)
			mu.Lock()
			defer mu.Unlock()
			said.hear(out.Bytes())
		})
	}
	for range rounds {
		for _, point := range signUpPoints {
			kill(child{Point: point})
		}
		for _, point := range failPoints {
			kill(child{Point: point, Fails: true})
		}
		for _, point := range dropPoints {
			kill(child{Point: point, Drops: true})
		}
	}
	pgtest.Wait(t, "every goroutine ends", wg.Wait)
	slowest := w.end(t)
	c := f.takeCensus(t)
	lost := c.check(t, said)
	pgtest.Figure(t, "P1", "%d SIGKILLs at %d points: %d answered, %d lost, %d whole, %d flaws, slowest %v",
		n, n/rounds, len(said["made"]), lost, len(c.active), len(c.flaws), slowest)
}

// TestAbandonedSignUpIsUndoneAfterItsLastAttempt has a sign-up that kills, or so it seems, each process that tries it.
func TestAbandonedSignUpIsUndoneAfterItsLastAttempt(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_ = f.start(t, "acme", "before end of step:dns", syscall.SIGKILL).Wait()
	w := newWorld()
	p := f.provisioner(t, func(c *provision.Config) {
		c.ClaimTTL, c.Attempts = crashTTL, 2
		c.SideEffects = w.steps(func(_ context.Context, step string) error {
			if step == "step:dns" {
				return errBroken
			}
			return nil
		})
	})
	f.reconcile(t, p, "")
	if w.undone["acme/billing"] != 1 || w.undone["acme/dns"] != 1 || w.done["acme/billing"] != 0 {
		t.Errorf("done %v, undone %v: a recorded step must not be done again, and both undone", w.done, w.undone)
	}
}

// TestEveryPointIsReached keeps the lists from naming a point that is no more.
func TestEveryPointIsReached(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s := failpoint.New()
	l := f.ledger(t)
	p := f.provisioner(t, func(c *provision.Config) { c.SideEffects = l.steps(s); c.SetFailpoints(s) })
	f.create(t, p, "a")
	must(t, p.Drop(t.Context(), "a"))
	s.On("before seed", failpoint.Error(errBroken))
	if _, err := p.Create(t.Context(), request(t, "b", "b@example.org")); err == nil {
		t.Fatal("no error")
	}
	want := slices.Sorted(slices.Values(slices.Concat(signUpPoints, failPoints, dropPoints)))
	if diff := cmp.Diff(want, s.Reached()); diff != "" {
		t.Errorf("points: %s", diff)
	}
	f.reconcile(t, p, "")
}
