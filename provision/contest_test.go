package provision_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/registry"
)

func TestOneOfManySignUpsWithOneEmailWins(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	p := f.provisioner(t)
	rounds, rivals := pgtest.Size(2, 200), pgtest.Size(8, 64)
	for round := range rounds {
		errs := make([]error, rivals)
		results := make([]*provision.Result, rivals)
		var wg sync.WaitGroup
		for i := range errs {
			req := request(t, "", fmt.Sprintf("same%d@example.org", round))
			wg.Go(func() { results[i], errs[i] = p.Create(t.Context(), req) })
		}
		pgtest.Wait(t, "every goroutine ends", wg.Wait)
		won := 0
		for i, err := range errs {
			switch {
			case err == nil:
				won++
				must(t, p.Drop(t.Context(), results[i].Tenant.ID))
			case !errors.Is(err, registry.ErrEmailTaken):
				t.Error(err)
			}
		}
		if won != 1 || f.residue(t) != "" {
			t.Fatalf("round %d: %d won: %s", round, won, f.residue(t))
		}
	}
	defer pgtest.Figure(t, "P6", "%d goroutines, %d rounds with one e-mail: one winner each", rivals, rounds)
}

func TestOneOfManyProcessesWithOneEmailWins(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.rescuer(t) // makes the template
	processes, emails := pgtest.Size(3, 16), pgtest.Size(2, 20)
	said := make([]answers, processes)
	var wg sync.WaitGroup
	for i := range processes {
		wg.Go(func() {
			cmd, out := f.command(t, child{ID: fmt.Sprintf("c%d", i), Emails: emails, TTL: 6 * crashTTL})
			if err := cmd.Run(); err != nil {
				t.Error(err)
			}
			said[i] = answers{}
			said[i].hear(out.Bytes())
		})
	}
	pgtest.Wait(t, "every goroutine ends", wg.Wait)
	made, taken := 0, map[string]int{}
	for _, s := range said {
		made += len(s["made"])
		for _, email := range s["taken"] {
			taken[email]++
		}
	}
	for email, n := range taken {
		if n != processes-1 {
			t.Errorf("%s: %d of %d lost", email, n, processes)
		}
	}
	if made != emails || len(taken) != emails {
		t.Errorf("%d tenants were made with %d e-mails, %d of which were contested", made, emails, len(taken))
	}
	f.takeCensus(t).check(t, answers{})
	defer pgtest.Figure(t, "P6", "%d processes with %d e-mails: one winner each", processes, emails)
}
