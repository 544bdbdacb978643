package provision_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/registry"
)

// held are the sessions on tenants' databases and warm ones.
func (f *fixture) held(t *testing.T) []string {
	t.Helper()
	return strings.Fields(f.list(t, f.admin, `SELECT pid::text FROM pg_stat_activity
		WHERE starts_with(datname, $1) AND NOT starts_with(datname, $1 || '_') ORDER BY pid`, f.prefix))
}

// TestWarmSignUpSeedsThroughTheOpenConnection takes three databases: the first through the connection that was held,
// the second after its connection was lost, and the third from another process, which has no connection to it.
func TestWarmSignUpSeedsThroughTheOpenConnection(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var pid string // of the backend that ran the last seed
	seed := func(c *provision.Config) {
		c.Seed = func(ctx context.Context, tx pgx.Tx, s provision.Seed) error {
			pid = fmt.Sprint(tx.Conn().PgConn().PID())
			return seedAdmin(ctx, tx, s)
		}
	}
	var rehearsed atomic.Int64
	keeper := f.provisioner(t, seed, warm(2), func(c *provision.Config) {
		c.WarmConns = 1
		c.Rehearse = func(ctx context.Context, tx pgx.Tx) error {
			rehearsed.Add(1)
			return seedAdmin(ctx, tx, provision.Seed{Admin: registry.Admin{ID: "nobody"}})
		}
	})
	stop := run(t, keeper)
	settled := func(not []string) []string {
		t.Helper()
		var now []string
		eventually(t, "one connection to a stock of two", func() bool {
			// The server shows a connection before the keeper has rehearsed it and holds it.
			now = f.held(t)
			stock := f.stock(t)
			return len(stock) == 2 && len(now) == 1 && !slices.Equal(now, not) && slices.ContainsFunc(stock, keeper.Holds)
		})
		return now
	}
	signUp := func(p *provision.Provisioner, i int) {
		t.Helper()
		made, err := p.Create(t.Context(), unnamed(t, i))
		must(t, err)
		if !made.Warm {
			t.Error("not warm")
		}
		f.usable(t, made.Tenant, made.Admin.ID)
	}

	open := settled(nil)
	if rehearsed.Load() == 0 {
		t.Error("not rehearsed")
	}
	signUp(keeper, 1)
	if pid != open[0] {
		t.Errorf("seeded by backend %s, and %s was held", pid, open[0])
	}
	open = settled(open)
	f.list(t, f.admin, "SELECT pg_terminate_backend($1::text::int)::text", open[0])
	signUp(keeper, 2)
	open = settled(open)
	signUp(f.provisioner(t, seed), 3) // takes the oldest: the one that is held
	settled(open)
	stop()
	eventually(t, "no connection, when Run has ended", func() bool { return len(f.held(t)) == 0 })
	runtime.KeepAlive(keeper) // its connections must not be closed by the garbage collector
}
