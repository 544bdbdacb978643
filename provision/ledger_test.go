package provision_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/failpoint"
	"github.com/pgtenancy/pgtenancy/provision"
)

// ledger is the world outside, in which the caller's steps have their effects: a table, so that processes can share it.
type ledger struct{ pool *pgxpool.Pool }

// ledger makes the table beside the fixture's registry, unless it is there.
func (f *fixture) ledger(t *testing.T) ledger {
	t.Helper()
	must(t, execute(t.Context(), f.regCfg.ConnConfig, "CREATE TABLE IF NOT EXISTS ledger (key text PRIMARY KEY)"))
	return ledger{f.pool}
}

// steps are "billing" and "dns". Between an effect and its record is a point of its own: "before end of step:dns".
func (l ledger) steps(points *failpoint.Set) []provision.SideEffect {
	step := func(name string) provision.SideEffect {
		return provision.SideEffect{
			Name: name,
			Do: func(ctx context.Context, s provision.SideEffectInput) (string, error) {
				_, err := l.pool.Exec(ctx, "INSERT INTO ledger VALUES ($1) ON CONFLICT DO NOTHING", s.Key)
				if err != nil {
					return "", err
				}
				return "customer", points.Before(ctx, "end of step:"+name)
			},
			Undo: func(ctx context.Context, s provision.SideEffectInput) error {
				_, err := l.pool.Exec(ctx, "DELETE FROM ledger WHERE key = $1", s.Key)
				return err
			},
		}
	}
	return []provision.SideEffect{step("billing"), step("dns")}
}

// points are those before and after each of steps.
func points(steps ...string) []string {
	var all []string
	for _, s := range steps {
		all = append(all, "before "+s, "after "+s)
	}
	return all
}

// The points of a sign-up, of its failure and of a deletion.
var (
	signUpPoints = append(points("intent", "database", "access", "seed", "step:billing", "step:dns", "activate"),
		"before end of step:billing", "before end of step:dns")
	failPoints = points("fail")
	dropPoints = points("delete", "drop", "drop database", "undo steps", "forget")
)
