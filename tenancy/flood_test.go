package tenancy_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// crowdOfGhosts is a Directory that knows the tenants k0, k1, … and counts look-ups of the ghosts g0, g1, ….
type crowdOfGhosts struct {
	known *tenants
	asked []atomic.Int32 // by ghost
}

func (c *crowdOfGhosts) Lookup(ctx context.Context, id tenancy.ID) (tenancy.Tenant, error) {
	ghost, ok := strings.CutPrefix(string(id), "g")
	if !ok {
		return c.known.Lookup(ctx, id)
	}
	i, err := strconv.Atoi(ghost)
	if err != nil {
		return tenancy.Tenant{}, err
	}
	c.asked[i].Add(1)
	return tenancy.Tenant{}, tenancy.ErrNotFound
}

// Clients ask for unknown hosts at the greatest rate, for each several times. They cost one look-up each, a memory
// that does not grow, and no tenant its pool.
func TestFloodOfUnknownTenantsIsBounded(t *testing.T) { //nolint:paralleltest // it measures the heap
	const known, clients, burst = 50, 4, 500
	ghosts := pgtest.Size(20_000, 100_000)
	dir := &crowdOfGhosts{known: newTenants(), asked: make([]atomic.Int32, ghosts)}
	ids := make([]tenancy.ID, known)
	for i := range ids {
		ids[i] = tenancy.ID(fmt.Sprintf("k%d", i))
		dir.known.put(tenant(ids[i], 1))
	}
	r := resolver(t, tenancy.Config{Directory: dir, MaxPools: known, NotFoundTTL: time.Hour, TTL: -1, IdleTimeout: -1})
	defer closeNow(t, r)
	calm := new(latencies)
	for range 100 {
		hits(t, r, ids, calm)
	}
	before := heap()
	beside, most := new(latencies), int64(0)
	for first := 0; first < ghosts; first += burst {
		var wg sync.WaitGroup
		for range clients { // each of them asks for all of the burst
			wg.Go(func() {
				for i := first; i < min(first+burst, ghosts); i++ {
					_, err := r.Acquire(t.Context(), tenancy.ID(fmt.Sprintf("g%d", i)))
					if !errors.Is(err, tenancy.ErrNotFound) {
						t.Errorf("ghost: %v", err)
					}
				}
			})
		}
		hits(t, r, ids, beside)
		pgtest.Wait(t, "every goroutine ends", wg.Wait)
		if first/burst%10 == 9 {
			most = max(most, heap()-before)
		}
	}
	var repeated int
	for i := range dir.asked {
		if n := dir.asked[i].Load(); n != 1 {
			repeated++
		}
	}
	s := r.Stat()
	evicted := s.EvictCount(tenancy.CauseCapacity) + s.EvictCount(tenancy.CauseIdle)
	if repeated != 0 || most > 2<<20 || s.OpenCount() != known || evicted != 0 {
		t.Errorf("%d ghosts were not looked up once, %d bytes more, %d pools opened, %d evicted", repeated, most,
			s.OpenCount(), evicted)
	}
	pgtest.Figure(t, "R5", "%d unknown ids, each asked for %d times: %d not looked up exactly once, at most %d KB more "+
		"heap; of %d known tenants %d evicted, p99 of a hit %v before and %v meanwhile",
		ghosts, clients, repeated, most>>10, known, evicted, calm.exact(0.99), beside.exact(0.99))
}

// hits acquires each tenant once.
func hits(t *testing.T, r *tenancy.Resolver, ids []tenancy.ID, took *latencies) {
	t.Helper()
	for _, id := range ids {
		start := time.Now()
		l, err := r.Acquire(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		took.add(time.Since(start))
		l.Release()
	}
}

// heap returns the bytes of the heap that are in use.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what the first one found to finalize is free now
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
