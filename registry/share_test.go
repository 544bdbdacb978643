package registry_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/registry"
)

// user is a Budgeted whose connections stay in use until the test frees them: a limit below what is open
// closes nothing by itself.
type user struct {
	share *registry.Share
	limit map[string]int
	open  map[string]int
	dead  bool
}

func (u *user) SetMaxConns(server string, n int) int {
	u.limit[server] = n
	return u.open[server]
}

func (f *fixture) join(t testing.TB) *user {
	t.Helper()
	u := &user{limit: map[string]int{}, open: map[string]int{}}
	var err error
	u.share, err = f.JoinBudget(t.Context(), u)
	must(t, err)
	return u
}

// budgetOf sets the budget of the fixture's server.
func (f *fixture) budgetOf(t testing.TB, n int) {
	t.Helper()
	f.exec(t, `UPDATE pgtenancy.servers SET max_conns = $1`, n)
}

// sum returns what all of them have open and may have open to the fixture's server.
func sum(users []*user) (open, limits int) {
	for _, u := range users {
		if u.dead {
			continue
		}
		for _, n := range u.open {
			open += n
		}
		for _, n := range u.limit {
			limits += n
		}
	}
	return open, limits
}

// TestSharesNeverExceedTheBudget has processes join, leave and die in random order, and looks after every step.
func TestSharesNeverExceedTheBudget(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const budget = 20
	f.budgetOf(t, budget)
	random := rand.New(rand.NewPCG(1, 2))
	users := []*user{f.join(t)}
	for step := range 1500 {
		u := users[random.IntN(len(users))]
		switch what := random.IntN(20); {
		case what == 0 && len(users) < 6:
			users = append(users, f.join(t))
		case what == 1 && len(users) > 1: // kill -9: its connections are gone, and it beats no more
			u.dead = true
			users = remove(users, u)
		case what == 2 && len(users) > 1: // it ends in good order
			clear(u.open)
			u.share.Leave(t.Context())
			users = remove(users, u)
		case what < 8:
			for server, limit := range u.limit {
				u.open[server] = max(u.open[server], limit) // it opens all it may
			}
		case what < 12:
			for server := range u.open {
				u.open[server] = random.IntN(u.open[server] + 1)
			}
		default:
			must(t, u.share.Beat(t.Context()))
		}
		if open, _ := sum(users); open > budget {
			t.Fatalf("step %d: %d connections are open, the budget is %d", step, open, budget)
		}
	}
	for _, u := range users {
		clear(u.open)
	}
	settle(t, users)
	if _, limits := sum(users); limits != budget {
		t.Errorf("in the end %d may be open, want all %d", limits, budget)
	}
}

// settle beats until the dead are buried and everybody has their part.
func settle(t *testing.T, users []*user) {
	t.Helper()
	for range registry.MissedBeats + 4 {
		for _, u := range users {
			must(t, u.share.Beat(t.Context()))
		}
	}
}

func remove(users []*user, gone *user) []*user {
	var rest []*user
	for _, u := range users {
		if u != gone {
			rest = append(rest, u)
		}
	}
	return rest
}

func TestNewcomerWaitsUntilTheOthersHaveLetGo(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.budgetOf(t, 10)
	first := f.join(t)
	server := only(t, first.limit)
	if first.limit[server] != 10 {
		t.Fatalf("the only process may open %d, want 10", first.limit[server])
	}
	first.open[server] = 8
	second := f.join(t)
	if second.limit[server] != 0 {
		t.Fatalf("the newcomer may open %d before anybody let go", second.limit[server])
	}
	beat := func(u *user, want int) {
		t.Helper()
		must(t, u.share.Beat(t.Context()))
		if u.limit[server] != want {
			t.Errorf("limit %d, want %d", u.limit[server], want)
		}
	}
	beat(first, 5) // 8 are still in use
	beat(second, 2)
	first.open[server] = 5
	beat(first, 5)
	beat(second, 5)
	second.share.Leave(t.Context())
	beat(first, 10)
}

func TestSilentProcessIsTakenForDeadAndHearsOfIt(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.budgetOf(t, 10)
	first, second := f.join(t), f.join(t)
	server := only(t, first.limit)
	settle(t, []*user{first, second})
	for beats := range registry.MissedBeats + 3 {
		if beats < registry.MissedBeats-1 && first.limit[server] != 5 {
			t.Fatalf("after %d beats the silent one's part was taken", beats)
		}
		must(t, first.share.Beat(t.Context()))
	}
	if first.limit[server] != 10 {
		t.Fatalf("the dead one's part did not come back: %d", first.limit[server])
	}
	must(t, second.share.Beat(t.Context())) // it was only stopped
	if second.limit[server] != 0 {
		t.Errorf("it may open %d, but what it had is another's", second.limit[server])
	}
	settle(t, []*user{first, second})
	if first.limit[server] != 5 || second.limit[server] != 5 {
		t.Errorf("in the end %d and %d, want 5 each", first.limit[server], second.limit[server])
	}
}

func TestBudgetThatIsChangedOrTakenBackIsFollowed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.budgetOf(t, 10)
	u := f.join(t)
	server := only(t, u.limit)
	for budget, want := range map[int]int{4: 4, 12: 12, 0: -1} { // 0: none is declared
		f.budgetOf(t, budget)
		must(t, u.share.Beat(t.Context()))
		if u.limit[server] != want {
			t.Errorf("budget %d: limit %d, want %d", budget, u.limit[server], want)
		}
	}
}

func TestRunBeatsUntilItsContextEndsAndThenLeaves(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(_ *pgxpool.Config, cfg *registry.Config) { cfg.Heartbeat = 5 * time.Millisecond })
	f.budgetOf(t, 10)
	u := f.join(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- u.share.Run(ctx) }()
	eventually(t, "five beats", func() (five bool) {
		must(t, f.pool.QueryRow(t.Context(), `SELECT beat >= 5 FROM pgtenancy.routers`).Scan(&five))
		return five
	})
	cancel()
	must(t, pgtest.Receive(t, "Run ends", done))
	var routers int
	must(t, f.pool.QueryRow(t.Context(), `SELECT count(*) FROM pgtenancy.routers`).Scan(&routers))
	if routers != 0 {
		t.Error("it did not leave")
	}
}

func only(t testing.TB, limits map[string]int) string {
	t.Helper()
	for server := range limits {
		return server
	}
	t.Fatal("no server has a limit")
	return ""
}

func TestWhoLeavesWithOpenConnectionsGivesNothingBack(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.budgetOf(t, 10)
	first := f.join(t)
	server := only(t, first.limit)
	first.open[server] = 3
	first.share.Leave(t.Context())
	second := f.join(t)
	if first.limit[server] != 0 || second.limit[server] != 0 {
		t.Errorf("%d and %d may be open while 3 of 10 are somebody's, want 0", first.limit[server], second.limit[server])
	}
}
