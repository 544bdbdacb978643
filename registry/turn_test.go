package registry_test

import (
	"errors"
	"testing"
)

// TestProcessesThatGrowAtOnceNeverTakeTheSame has each of them believe that it is the only live process.
func TestProcessesThatGrowAtOnceNeverTakeTheSame(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const budget, rounds = 10, 100
	f.budgetOf(t, budget)
	users := []*user{f.join(t), f.join(t), f.join(t), f.join(t)}
	for round := range rounds {
		for _, u := range users {
			must(t, u.share.Shrink(t.Context(), "s1", 0))
		}
		must(t, errors.Join(concurrently(len(users), func(i int) error {
			return users[i].share.Grow(t.Context(), "s1", budget, budget)
		})...))
		var sum int
		must(t, f.pool.QueryRow(t.Context(), `SELECT sum(granted) FROM pgtenancy.router_conns`).Scan(&sum))
		if sum != budget {
			t.Fatalf("round %d: %d were taken, the budget is %d", round, sum, budget)
		}
	}
}

func TestWhoCannotJoinLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.budgetOf(t, 10)
	f.exec(t, `ALTER TABLE pgtenancy.router_turn RENAME TO away`)
	share, err := f.JoinBudget(t.Context(), &user{limit: map[string]int{}, open: map[string]int{}})
	if share != nil || err == nil {
		t.Errorf("JoinBudget: %v, %v; want an error alone", share != nil, err)
	}
	if n := f.count(t, "pgtenancy.routers"); n != 0 {
		t.Errorf("%d rows left", n)
	}
}
