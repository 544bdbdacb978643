package tenancy_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// databases makes n tenants t0, t1, … with a database each, and returns the base configuration for them.
func databases(t testing.TB, n int) (*tenants, *pgxpool.Config) {
	t.Helper()
	dir := newTenants()
	var base *pgxpool.Config
	for i := range n {
		base = pgtest.Database(t)
		id := tenancy.ID(fmt.Sprintf("t%d", i))
		dir.put(tenancy.Tenant{
			ID: id, State: tenancy.Active, Epoch: 1,
			Endpoint: tenancy.Endpoint{Database: base.ConnConfig.Database},
		})
	}
	base.ConnConfig.Database = "postgres"
	return dir, base
}

// The promises of the package, at work: a query reaches the database of the tenant it was leased for, neither evictions
// nor changes nor moves break it, and no sample shows more connections than the budget.
func TestEveryQueryReachesItsOwnTenant(t *testing.T) {
	tenantCount, maxPools := pgtest.Size(10, 500), pgtest.Size(4, 50)
	workers, queries := pgtest.Size(8, 64), pgtest.Size[int64](1_000, 50_000)
	budget := pgtest.Size(6, 80)
	dir, base, homes := homes(t, tenantCount, pgtest.Size(2, 20))
	r := resolver(t, tenancy.Config{
		Directory: dir, Base: base, MaxPools: maxPools, MaxConnsPerTenant: 2, MaxConns: budget, Fence: true,
		CapacityWait: time.Minute, BudgetWait: time.Minute, IdleTimeout: 200 * time.Millisecond, TTL: 100 * time.Millisecond,
	})
	defer closeNow(t, r)
	sampled := watch(t, homes.all(), func() int { return budget })

	var asked, wrong, failed atomic.Int64
	stop := make(chan struct{})
	var meddler, users sync.WaitGroup
	meddler.Go(func() { homes.meddle(r, dir, stop) })
	for w := range workers {
		users.Go(func() {
			rnd := rand.New(rand.NewPCG(7, uint64(w)))
			zipf := rand.NewZipf(rnd, 1.5, 4, uint64(tenantCount-1))
			for asked.Load() < queries {
				id := tenancy.ID(fmt.Sprintf("t%d", zipf.Uint64()))
				l, err := r.Acquire(t.Context(), id)
				if err != nil {
					t.Errorf("Acquire: %v", err)
					return
				}
				for range 5 {
					asked.Add(1)
					switch where, whose, err := whereAmI(t.Context(), l.Pool()); {
					case err != nil:
						failed.Add(1)
						t.Errorf("query: %v", err)
					case where != l.Tenant().Endpoint.Database || whose != id:
						wrong.Add(1)
					}
				}
				l.Release()
			}
		})
	}
	pgtest.Wait(t, "every user ends", users.Wait)
	close(stop)
	pgtest.Wait(t, "the meddler ends", meddler.Wait)
	released := time.Now()
	eventually(t, "drained", func() bool { return r.Stat().DrainingPools() == 0 })
	drained, seen, s := time.Since(released), sampled(), r.Stat()
	if asked.Load() < queries || wrong.Load() != 0 || failed.Load() != 0 {
		t.Errorf("%d of %d queries in the wrong database, %d failed", wrong.Load(), asked.Load(), failed.Load())
	}
	pgtest.Figure(t, "R1", "%d queries, %d tenants, %d pools: %d wrong, %d failed; %d opened, evicted: idle %d, capacity "+
		"%d, explicit %d, changed %d",
		asked.Load(), tenantCount, maxPools, wrong.Load(), failed.Load(), s.OpenCount(), s.EvictCount(tenancy.CauseIdle),
		s.EvictCount(tenancy.CauseCapacity), s.EvictCount(tenancy.CauseExplicit), s.EvictCount(tenancy.CauseChanged))
	pgtest.Figure(t, "R2", "%d of %d samples over the budget of %d, at most %d connections; all pools closed %v after "+
		"the last release",
		seen.over, seen.samples, budget, seen.most, drained.Round(time.Millisecond))
}

// whereAmI asks a database for its name and for the tenant that it says it belongs to.
func whereAmI(ctx context.Context, pool *pgxpool.Pool) (database string, whose tenancy.ID, err error) {
	var comment string
	err = pool.QueryRow(ctx, `select datname, coalesce(shobj_description(oid, 'pg_database'), '')
		from pg_database where datname = current_database()`).Scan(&database, &comment)
	mark, _ := tenancy.ParseOwnerTag(comment)
	return database, mark.Tenant, err
}

// estates are the databases of each tenant, which say whose they are. A tenant with two can move.
type estates map[tenancy.ID][]string

// homes makes n tenants with a database each, the first of them with two.
func homes(t testing.TB, n, movable int) (*tenants, *pgxpool.Config, estates) {
	t.Helper()
	own, base := databases(t, n+movable)
	admin := connect(t)
	dir, all := newTenants(), make(estates)
	for i := range n + movable {
		id, ep := tenancy.ID(fmt.Sprintf("t%d", i%n)), own.records[tenancy.ID(fmt.Sprintf("t%d", i))].Endpoint
		comment(t, admin, ep.Database, tenancy.OwnerTag{Tenant: id})
		if all[id] = append(all[id], ep.Database); i < n {
			dir.put(tenancy.Tenant{ID: id, State: tenancy.Active, Epoch: 1, Endpoint: ep})
		}
	}
	return dir, base, all
}

func (e estates) all() (names []string) {
	for _, own := range e {
		names = append(names, own...)
	}
	return names
}

// meddle evicts, raises epochs, moves and invalidates until stop is closed.
func (e estates) meddle(r *tenancy.Resolver, dir *tenants, stop <-chan struct{}) {
	rnd := rand.New(rand.NewPCG(3, 3))
	ticker := time.NewTicker(pgtest.Size(100*time.Millisecond, 25*time.Millisecond)) // a tenant of many changes seldom
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
		}
		id := tenancy.ID(fmt.Sprintf("t%d", min(rnd.IntN(len(e)), rnd.IntN(len(e))))) // the busy ones more often
		if rnd.IntN(2) == 0 {
			r.Evict(id)
			continue
		}
		dir.mu.Lock()
		rec := dir.records[id]
		rec.Epoch++
		rec.Endpoint.Database = e[id][rnd.IntN(len(e[id]))]
		dir.records[id] = rec
		dir.mu.Unlock()
		r.Invalidate(id, rec.Epoch)
	}
}

// comment puts a mark on a database.
func comment(t testing.TB, admin *pgx.Conn, database string, m tenancy.OwnerTag) {
	t.Helper()
	_, err := admin.Exec(t.Context(), "COMMENT ON DATABASE "+pgx.Identifier{database}.Sanitize()+" IS '"+m.String()+"'")
	if err != nil {
		t.Fatal(err)
	}
}

// backends counts the server's connections to a tenant's database, without the test's own.
func backends(t testing.TB, admin *pgx.Conn, database string) (n int) {
	t.Helper()
	err := admin.QueryRow(context.WithoutCancel(t.Context()),
		"select count(*) from pg_stat_activity where datname = $1", database).Scan(&n)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func connect(t testing.TB) *pgx.Conn {
	t.Helper()
	conn, err := pgx.ConnectConfig(t.Context(), pgtest.Admin(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	pgtest.Eventually(t, what, ok)
}

func TestDrainTimeoutCutsAQueryAndCancelsItOnTheServer(t *testing.T) {
	t.Parallel()
	dir, base := databases(t, 1)
	admin := connect(t)
	database := dir.records["t0"].Endpoint.Database
	r := resolver(t, tenancy.Config{Directory: dir, Base: base, DrainTimeout: 200 * time.Millisecond})
	defer closeNow(t, r)
	l := acquire(t, r, "t0")
	got := make(chan error, 1)
	start := time.Now()
	go func() {
		_, err := l.Pool().Exec(context.WithoutCancel(t.Context()), "select pg_sleep(60)")
		got <- err
	}()
	eventually(t, "sleeping", func() bool { return backends(t, admin, database) == 1 })
	r.Evict("t0")
	if err := <-got; err == nil {
		t.Error("the query was not cut")
	}
	// PostgreSQL does not look at the socket of a query that runs: without the cancel request this takes 60 s.
	eventually(t, "cancelled on the server", func() bool { return backends(t, admin, database) == 0 })
	eventually(t, "closed", func() bool { return r.Stat().DrainingPools() == 0 })
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
	if _, err := l.Pool().Exec(t.Context(), "select 1"); err == nil || !strings.Contains(err.Error(), "closed pool") {
		t.Errorf("a cut pool answers: %v", err)
	}
	l.Release()
	if err := query(t, r, "t0"); err != nil {
		t.Error(err)
	}
}

func query(t testing.TB, r *tenancy.Resolver, id tenancy.ID) error {
	return r.AcquireFunc(t.Context(), id, func(ctx context.Context, pool *pgxpool.Pool) error {
		_, err := pool.Exec(ctx, "select 1")
		return err
	})
}

func TestEvictLetsATransactionFinish(t *testing.T) {
	t.Parallel()
	dir, base := databases(t, 1)
	r := resolver(t, tenancy.Config{Directory: dir, Base: base})
	defer closeNow(t, r)
	err := r.AcquireFunc(t.Context(), "t0", func(ctx context.Context, pool *pgxpool.Pool) error {
		return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			r.Invalidate("t0", 0)
			if err := query(t, r, "t0"); err != nil { // on the new pool, beside the old one
				return err
			}
			_, err := tx.Exec(ctx, "create table kept (n int)")
			return err
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	err = r.AcquireFunc(t.Context(), "t0", func(ctx context.Context, pool *pgxpool.Pool) error {
		_, err := pool.Exec(ctx, "insert into kept values (1)")
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestConnectionsEndWithTheirPool(t *testing.T) {
	t.Parallel()
	dir, base := databases(t, 1)
	admin := connect(t)
	r := resolver(t, tenancy.Config{Directory: dir, Base: base})
	defer closeNow(t, r)
	if err := query(t, r, "t0"); err != nil {
		t.Fatal(err)
	}
	database := dir.records["t0"].Endpoint.Database
	if n := backends(t, admin, database); n != 1 {
		t.Errorf("%d connections", n)
	}
	r.Evict("t0")
	eventually(t, "disconnected", func() bool { return backends(t, admin, database) == 0 })
}

func TestCloseReportsAHolderThatKeepsItsConnection(t *testing.T) {
	t.Parallel()
	dir, base := databases(t, 1)
	r := resolver(t, tenancy.Config{Directory: dir, Base: base})
	l := acquire(t, r, "t0")
	conn, err := l.Pool().Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l.Release() // too early: the connection is not back
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err = r.Close(ctx)
	wantErr(t, err, context.DeadlineExceeded)
	if n := r.Stat().DrainingPools(); n != 1 || r.Stat().OldestDraining() == 0 {
		t.Errorf("%d draining", n)
	}
	if _, err := conn.Exec(t.Context(), "select 1"); err == nil {
		t.Error("the socket is open")
	}
	conn.Release()
	closeNow(t, r)
}

func TestBaseHooksRunForEveryConnection(t *testing.T) {
	t.Parallel()
	dir, base := databases(t, 1)
	var before, after atomic.Int32
	base.BeforeConnect = func(context.Context, *pgx.ConnConfig) error { before.Add(1); return nil }
	base.AfterConnect = func(context.Context, *pgx.Conn) error { after.Add(1); return nil }
	r := resolver(t, tenancy.Config{Directory: dir, Base: base})
	defer closeNow(t, r)
	if err := query(t, r, "t0"); err != nil || before.Load() != 1 || after.Load() != 1 {
		t.Errorf("%v, BeforeConnect %d, AfterConnect %d", err, before.Load(), after.Load())
	}
}

func TestThousandFirstRequestsAskOnce(t *testing.T) {
	t.Parallel()
	rounds := pgtest.Size(2, 100)
	dir, base := databases(t, 1)
	var most rush
	for range rounds {
		s := stampede(t, dir, base)
		if s.lookups != 1 || s.failed != 0 || s.pools != 1 || s.dials > 2 {
			t.Errorf("%+v", s)
		}
		most = rush{
			max(most.lookups, s.lookups), max(most.failed, s.failed), max(most.pools, s.pools),
			max(most.dials, s.dials),
		}
	}
	pgtest.Figure(t, "R3", "%d rounds of 1,000 first requests, the first of which is cancelled; in each at most %d "+
		"look-up, %d pool, %d dials, %d failed",
		rounds, most.lookups, most.pools, most.dials, most.failed)
}

// rush is what a thousand first requests cost.
type rush struct{ lookups, failed, pools, dials int64 }

// stampede sends a thousand requests for a tenant without a pool, and ends the context of the first while it
// waits.
func stampede(t *testing.T, dir *tenants, base *pgxpool.Config) rush {
	t.Helper()
	asked := dir.asked("t0")
	arrived := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	dir.hook(func(look context.Context, _ tenancy.ID) error {
		<-arrived
		cancel() // the leader's context
		return look.Err()
	})
	r := resolver(t, tenancy.Config{Directory: dir, Base: base, MaxConnsPerTenant: 2})
	defer closeNow(t, r)
	leader := make(chan error, 1)
	go func() {
		l, err := r.Acquire(ctx, "t0")
		if err == nil { // the answer and the cancellation came at the same time
			l.Release()
			err = context.Canceled
		}
		leader <- err
	}()
	eventually(t, "in flight", func() bool { return dir.asked("t0") == asked+1 })
	var failed atomic.Int64
	var followers sync.WaitGroup
	for range 999 {
		followers.Go(func() {
			if err := query(t, r, "t0"); err != nil {
				failed.Add(1)
				t.Errorf("follower: %v", err)
			}
		})
	}
	eventually(t, "all waiting", func() bool { return r.Stat().MissCount() == 1000 })
	close(arrived)
	pgtest.Wait(t, "every follower ends", followers.Wait)
	if err := <-leader; !errors.Is(err, context.Canceled) {
		t.Errorf("leader: %v", err)
	}
	return rush{
		lookups: int64(dir.asked("t0") - asked), failed: failed.Load(),
		pools: r.Stat().OpenCount(), dials: r.Stat().Servers()[0].DialCount(),
	}
}
