package tenancy_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// crowd makes n tenants on a few databases, each with a pool of its own, all on the server "pg".
func crowd(t testing.TB, n int) (dir *tenants, base *pgxpool.Config, names []string) {
	t.Helper()
	own, base := databases(t, min(n, 8))
	dir = newTenants()
	for i := range n {
		ep := own.records[tenancy.ID(fmt.Sprintf("t%d", i%8))].Endpoint
		ep.Server = "pg"
		dir.put(tenancy.Tenant{ID: tenancy.ID(fmt.Sprintf("t%d", i)), State: tenancy.Active, Epoch: 1, Endpoint: ep})
		if i < 8 {
			names = append(names, ep.Database)
		}
	}
	return dir, base, names
}

// sampled is what watch saw: the server's own count of connections, every 50 ms.
type sampled struct{ samples, over, most int }

// watch counts the server's connections to the databases until stop is called.
func watch(t testing.TB, names []string, budget func() int) (stop func() sampled) {
	t.Helper()
	admin := connect(t)
	done := make(chan struct{})
	var s sampled
	var wg sync.WaitGroup
	wg.Go(func() {
		ticker := time.NewTicker(50 * time.Millisecond)
		defer ticker.Stop()
		for {
			n := connections(t, admin, names)
			s.samples++
			s.most = max(s.most, n)
			if n > budget() {
				s.over++
			}
			select {
			case <-ticker.C:
			case <-done:
				return
			}
		}
	})
	return func() sampled {
		close(done)
		pgtest.Wait(t, "every goroutine ends", wg.Wait)
		if s.over > 0 || s.samples == 0 {
			t.Errorf("%d of %d samples over the budget, up to %d connections", s.over, s.samples, s.most)
		}
		return s
	}
}

func connections(t testing.TB, admin *pgx.Conn, names []string) (n int) {
	err := admin.QueryRow(context.WithoutCancel(t.Context()),
		"select count(*) from pg_stat_activity where datname = any($1)", names).Scan(&n)
	if err != nil {
		t.Error(err)
	}
	return n
}

// pgStat returns the figures of the server "pg".
func pgStat(t testing.TB, r *tenancy.Resolver) tenancy.ServerStat {
	t.Helper()
	s := r.Stat().Servers()
	if len(s) != 1 || s[0].Name() != "pg" {
		t.Fatalf("servers %v", s)
	}
	return s[0]
}

// wantNoPermits checks that every permit has come back. r is closed.
func wantNoPermits(t testing.TB, r *tenancy.Resolver) {
	t.Helper()
	eventually(t, "all permits back", func() bool {
		s := pgStat(t, r)
		return s.OpenConns() == 0 && s.WaitingDials() == 0
	})
}

// zipf returns tenants at random, a few of them most of the time.
func zipf(seed, n int) func() tenancy.ID {
	z := rand.NewZipf(rand.New(rand.NewPCG(5, uint64(seed))), 1.1, 1, uint64(n-1))
	return func() tenancy.ID { return tenancy.ID(fmt.Sprintf("t%d", z.Uint64())) }
}

// latencies are those of one kind of request.
type latencies struct {
	mu  sync.Mutex
	all []time.Duration
}

func (l *latencies) add(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, d)
}

// at returns the latency below which the given part of the requests is, to 10 µs.
func (l *latencies) at(part float64) time.Duration { return l.exact(part).Round(10 * time.Microsecond) }

// exact is at to the nanosecond.
func (l *latencies) exact(part float64) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.all) == 0 {
		return 0
	}
	slices.Sort(l.all)
	return l.all[int(part*float64(len(l.all)-1))]
}
