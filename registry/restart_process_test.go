package registry_test

import (
	"bufio"
	"context"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// counting is a resolver that counts the remains of dead processes.
type counting struct {
	*tenancy.Resolver
	admin     *pgx.ConnConfig
	databases []string
}

func (c counting) TenantSessions(ctx context.Context, _ string) ([]string, error) {
	conn, err := pgx.ConnectConfig(ctx, c.admin)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	rows, _ := conn.Query(ctx, `SELECT concat_ws(' ', pid, backend_start) FROM pg_stat_activity WHERE datname =
		ANY($1::text[])`, c.databases)
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// awaited starts a router and returns when each of words came from it, in their order.
func (told router) awaited(t *testing.T, words ...string) (*exec.Cmd, []time.Time) {
	t.Helper()
	cmd := told.command(t)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	came := make(chan time.Time, len(words))
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if len(words) > 0 && strings.Contains(lines.Text(), "router: "+words[0]) {
				came <- time.Now()
				words = words[1:]
			}
		}
	}()
	var at []time.Time
	for range cap(came) {
		select {
		case now := <-came:
			at = append(at, now)
		case <-time.After(time.Minute):
			t.Fatal("a router was never ready, or never served")
		}
	}
	return cmd, at
}

// A process that is killed and started again serves at once, and what the dead one left at the server is counted.
func TestRestartedProcessServesWithin2SecondsAndWithinTheBudget(t *testing.T) {
	t.Parallel()
	for _, how := range []struct {
		name  string
		sleep float64
		spare int // of the budget, that the dead one cannot have
	}{{name: "short queries", sleep: 0.05}, {name: "queries that outlive it", sleep: 5, spare: 4}} {
		t.Run(how.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			const conns = 8 // what the workers of one process can hold
			budget := 6
			if how.spare > 0 {
				budget = conns + how.spare
			}
			f.budgetOf(t, budget)
			told := f.router(t)
			told.Heartbeat, told.Count, told.Sleep = time.Second, true, how.sleep

			watching, stop := context.WithCancel(t.Context())
			var watch sync.WaitGroup
			peak, samples, over := 0, 0, 0
			watch.Go(func() { peak, samples, over = told.watch(watching, t, budget) })
			dead, _ := told.awaited(t, "ready", "busy")
			rounds := pgtest.Size(3, 100)
			var slowest time.Duration
			for range rounds {
				if how.spare > 0 {
					told.inQueries(t, conns) // all of them outlive it
				}
				must(t, dead.Process.Kill())
				_ = dead.Wait()
				next, at := told.awaited(t, "ready", "served")
				slowest = max(slowest, at[1].Sub(at[0])-time.Duration(how.sleep*float64(time.Second)))
				dead = next
			}
			must(t, dead.Process.Kill())
			_ = dead.Wait()
			stop()
			watch.Wait()
			if slowest > 2*time.Second || over > 0 || peak < budget/2 {
				t.Errorf("first query %v after it was ready; %d of %d samples over the budget of %d, at most %d",
					slowest, over, samples, budget, peak)
			}
			pgtest.Figure(t, "R17", "%s: %d times killed and started again: first query %v after it was ready at most; %d of "+
				"%d samples over the budget of %d, at most %d connections",
				how.name, rounds, slowest.Round(time.Millisecond), over, samples, budget, peak)
		})
	}
}

// inQueries waits until n sessions in the tenants' databases are in a query.
func (told router) inQueries(t *testing.T, n int) {
	t.Helper()
	conn, err := pgx.ConnectConfig(t.Context(), pgtest.Admin(t))
	must(t, err)
	defer conn.Close(context.WithoutCancel(t.Context()))
	eventually(t, "all in a query", func() bool {
		var active int
		must(t, conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE datname = ANY($1::text[])
			AND state = 'active' AND query_start > now() - interval '3 s'`, told.Databases).Scan(&active))
		return active >= n
	})
}

// watch counts the sessions in the tenants' databases every 20 ms until ctx ends.
func (told router) watch(ctx context.Context, t *testing.T, budget int) (peak, samples, over int) {
	conn, err := pgx.ConnectConfig(ctx, pgtest.Admin(t))
	if err != nil {
		t.Error(err)
		return 0, 0, 0
	}
	defer conn.Close(context.WithoutCancel(ctx))
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		var open int
		err := conn.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity
			WHERE backend_type = 'client backend' AND datname = ANY($1::text[])`, told.Databases).Scan(&open)
		if ctx.Err() != nil {
			return peak, samples, over
		}
		if err != nil {
			t.Error(err)
			return peak, samples, over
		}
		if samples, peak = samples+1, max(peak, open); open > budget {
			over++
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return peak, samples, over
		}
	}
}
