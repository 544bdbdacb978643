package tenancy_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

func TestConnectionThatFailsGivesItsPermitBack(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*pgxpool.Config){
		"dial": func(c *pgxpool.Config) {
			c.ConnConfig.DialFunc = func(context.Context, string, string) (net.Conn, error) { return nil, errNoDial }
		},
		"tls": func(c *pgxpool.Config) {
			c.ConnConfig.TLSConfig = &tls.Config{InsecureSkipVerify: true}
		},
		"start-up": func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams["no_such_setting"] = "1" },
		"validate": func(c *pgxpool.Config) {
			c.ConnConfig.ValidateConnect = func(context.Context, *pgconn.PgConn) error { return errNoDial }
		},
		"hook": func(c *pgxpool.Config) {
			c.AfterConnect = func(context.Context, *pgx.Conn) error { return errNoDial }
		},
	} {
		dir, base, _ := crowd(t, 1)
		base.ConnConfig.Fallbacks = nil
		spoil(base)
		r := resolver(t, tenancy.Config{Directory: dir, Base: base, MaxConns: 2, BreakerThreshold: -1})
		var users sync.WaitGroup
		for range 20 {
			users.Go(func() {
				if err := query(t, r, "t0"); err == nil || errors.Is(err, tenancy.ErrAtCapacity) {
					t.Errorf("%s: error %v", name, err)
				}
			})
		}
		pgtest.Wait(t, "every user ends", users.Wait)
		if n := pgStat(t, r).DialCount(); n != 20 {
			t.Errorf("%s: %d dials", name, n)
		}
		wantNoPermits(t, r)
		closeNow(t, r)
	}
}

func TestQueryWithoutConnectionMatchesErrAtCapacity(t *testing.T) {
	t.Parallel()
	dir, base, _ := crowd(t, 2)
	base.ConnConfig.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(context.WithoutCancel(ctx), network, addr)
	}
	base.ConnConfig.ConnectTimeout = time.Second
	r := resolver(t, tenancy.Config{Directory: dir, Base: base, MaxConns: 1, BudgetWait: 1500 * time.Millisecond})
	defer closeNow(t, r)
	err := r.AcquireFunc(t.Context(), "t0", func(ctx context.Context, pool *pgxpool.Pool) error {
		return pgx.BeginFunc(ctx, pool, func(pgx.Tx) error {
			start := time.Now()
			err := query(t, r, "t1")
			if took := time.Since(start); took < 1500*time.Millisecond {
				t.Errorf("waited only %v", took)
			}
			return err
		})
	})
	wantErr(t, err, tenancy.ErrAtCapacity)
	if err := query(t, r, "t1"); err != nil { // the connection of t0 is idle now
		t.Error(err)
	}
	if s := pgStat(t, r); s.OpenConns() != 1 || s.BudgetTimeoutCount() != 1 || s.StealCount() != 1 {
		t.Errorf("%+v", s)
	}
}

// Cancelled queries send cancel requests, which dial while the queries that they cancel hold every permit. What is not
// cancelled has its own answer, and nothing is left over.
func TestCancelledQueriesLoseNoPermit(t *testing.T) {
	t.Parallel()
	const workers = 16
	budget, queries := pgtest.Size(6, 24), pgtest.Size[int64](500, 100_000) // with 6, nearly every query dials
	dir, base, names := crowd(t, 12)
	r := resolver(t, tenancy.Config{Directory: dir, Base: base, MaxConns: budget, BudgetWait: time.Minute})
	stop := watch(t, names, func() int { return budget })
	var asked, cancelled, wrong atomic.Int64
	var users sync.WaitGroup
	for w := range workers {
		users.Go(func() {
			rnd := rand.New(rand.NewPCG(11, uint64(w)))
			next := zipf(w, 12)
			for {
				n := asked.Add(1)
				if n > queries {
					return
				}
				ctx, cancel := context.WithCancel(t.Context())
				if rnd.IntN(2) == 0 {
					time.AfterFunc(time.Duration(rnd.IntN(3000))*time.Microsecond, cancel)
				}
				var echo int64
				var where string
				id := next()
				err := r.AcquireFunc(ctx, id, func(ctx context.Context, pool *pgxpool.Pool) error {
					return pool.QueryRow(ctx, "select $1::bigint, current_database() from pg_sleep(0.001)", n).Scan(&echo, &where)
				})
				switch {
				case ctx.Err() != nil && err != nil:
					cancelled.Add(1)
				case err != nil:
					t.Errorf("query: %v", err)
				case echo != n || where != dir.records[id].Endpoint.Database:
					wrong.Add(1)
					t.Errorf("query %d of %s: answer %d from %s", n, id, echo, where)
				}
				cancel()
			}
		})
	}
	pgtest.Wait(t, "every user ends", users.Wait)
	seen := stop()
	s := pgStat(t, r)
	wantAllIdle(t, r, dir, names)
	pgtest.Figure(t, "R14", "%d of %d queries cancelled, %d wrong answers; %d dials; %d samples, at most %d connections "+
		"of %d; none in use, busy or lost afterwards",
		cancelled.Load(), queries, wrong.Load(), s.DialCount(), seen.samples, seen.most, budget)
	closeNow(t, r)
	wantNoPermits(t, r)
}

// wantAllIdle checks that no pool has a connection in use, and that the server sees them all idle.
func wantAllIdle(t *testing.T, r *tenancy.Resolver, dir *tenants, names []string) {
	t.Helper()
	for id := range dir.records {
		err := r.AcquireFunc(t.Context(), id, func(_ context.Context, pool *pgxpool.Pool) error {
			eventually(t, "all connections given back", func() bool { return pool.Stat().AcquiredConns() == 0 })
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	admin := connect(t)
	eventually(t, "idle", func() bool {
		var busy int
		err := admin.QueryRow(t.Context(), "select count(*) from pg_stat_activity where datname = any($1) and state <> "+
			"'idle'",
			names).Scan(&busy)
		if err != nil {
			t.Fatal(err)
		}
		return busy == 0
	})
}

func TestBudgetCanBeChangedUnderLoad(t *testing.T) {
	t.Parallel()
	dir, base, names := crowd(t, 30)
	r := resolver(t, tenancy.Config{Directory: dir, Base: base, MaxConns: 16})
	admin := connect(t)
	if err := query(t, r, "t0"); err != nil {
		t.Fatal(err)
	}
	var users sync.WaitGroup
	done := make(chan struct{})
	defer users.Wait()
	for w := range 12 {
		users.Go(func() {
			next := zipf(w, 30)
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := query(t, r, next()); err != nil {
					t.Errorf("query: %v", err)
				}
			}
		})
	}
	for _, n := range []int{4, 10, 2, 16, 1, 8} {
		eventually(t, "full", func() bool { return pgStat(t, r).OpenConns() == pgStat(t, r).MaxConns() })
		r.SetMaxConns("pg", n)
		eventually(t, "shrunk", func() bool { return pgStat(t, r).OpenConns() <= n })
		for range 10 {
			if got := connections(t, admin, names); got > n {
				t.Errorf("%d connections, want %d at most", got, n)
			}
		}
	}
	close(done)
	pgtest.Wait(t, "every user ends", users.Wait)
	if open := r.SetMaxConns("pg", 0); open != 0 {
		eventually(t, "empty", func() bool { return pgStat(t, r).OpenConns() == 0 })
	}
	closeNow(t, r)
}

// Guards: with sslmode=prefer and a server without TLS each connect dials twice. When the second dial needed a place of
// its own among the dials, as many connects as there are places waited for one another until BudgetWait was over.
func TestConnectsThatTryASecondAddressDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	const tenants, rounds = 8, 10
	dir, base, _ := crowd(t, tenants)
	cc := base.ConnConfig
	cc.TLSConfig = &tls.Config{InsecureSkipVerify: true} // which the server does not speak
	cc.Fallbacks = []*pgconn.FallbackConfig{{Host: cc.Host, Port: cc.Port}}
	r := resolver(t, tenancy.Config{
		Directory: dir, Base: base, MaxConns: tenants, MaxDialsPerServer: 2,
		BudgetWait: time.Minute,
	})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var users sync.WaitGroup
	for i := range tenants {
		id := tenancy.ID(fmt.Sprintf("t%d", i))
		users.Go(func() {
			for range rounds {
				err := r.AcquireFunc(ctx, id, func(ctx context.Context, pool *pgxpool.Pool) error { return pool.Ping(ctx) })
				if err != nil {
					t.Errorf("tenant %q: %v", id, err)
					return
				}
				r.Evict(id)
			}
		})
	}
	pgtest.Wait(t, "every user ends", users.Wait)
	if n := pgStat(t, r).DialCount(); n != tenants*rounds {
		t.Errorf("%d permits for %d connects", n, tenants*rounds)
	}
	closeNow(t, r)
	wantNoPermits(t, r)
}
