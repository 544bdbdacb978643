package tenancy_test

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Pools are made, used and evicted over and over: nothing of them stays, neither here nor on the server.
func TestPoolsThatComeAndGoLeaveNothingBehind(t *testing.T) { //nolint:paralleltest // it counts goroutines
	const workers = 4
	cycles, soak := pgtest.Size(40, 10_000), pgtest.Size(time.Duration(0), 5*time.Minute)
	dir, base, names := crowd(t, 2*workers)
	admin := connect(t)
	r := resolver(t, tenancy.Config{Directory: dir, Base: base, MaxPools: workers, TTL: -1})
	cycle := func(n int) {
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				for i := range n / workers {
					id := tenancy.ID(fmt.Sprintf("t%d", 2*w+i%2)) // each makes room for the other
					if err := query(t, r, id); err != nil {
						t.Errorf("query: %v", err)
					}
					if i%4 == 0 {
						r.Evict(id)
					}
				}
			})
		}
		pgtest.Wait(t, "every goroutine ends", wg.Wait)
		for id := range dir.records {
			r.Evict(id)
		}
		eventually(t, "closed", func() bool { return r.Stat().OpenPools()+r.Stat().DrainingPools() == 0 })
	}
	cycle(workers * 4) // what the process makes once
	goroutines, before := settled(), heap()
	cycle(cycles)
	wantGoroutines(t, goroutines)
	grown := heap() - before
	if grown > 1<<20 {
		t.Errorf("%d bytes more after %d cycles", grown, cycles)
	}

	var slope float64
	if soak > 0 {
		slope = climb(soak, func() { cycle(100) })
		if slope > 1<<20 {
			t.Errorf("the heap grows by %.0f bytes an hour", slope)
		}
	}
	opened := r.Stat().OpenCount()
	start := time.Now()
	closeNow(t, r)
	eventually(t, "no backends left", func() bool { return connections(t, admin, names) == 0 })
	gone := time.Since(start)
	wantNoPermits(t, r)
	wantGoroutines(t, goroutines)
	pgtest.Figure(t, "R15", "%d pools made and closed: %d goroutines before, %d after, %d KB more heap; soak of %v: %.0f "+
		"KB an hour; backends gone %v after Close began",
		opened, goroutines, runtime.NumGoroutine(), grown>>10, soak, slope/1024, gone.Round(time.Millisecond))
}

// settled returns the number of goroutines once it has not changed for a while: a pool that was closed has some that
// end with their next tick.
func settled() int {
	last, since := runtime.NumGoroutine(), time.Now()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for time.Since(since) < time.Second {
		<-ticker.C
		if n := runtime.NumGoroutine(); n != last {
			last, since = n, time.Now()
		}
	}
	return last
}

func wantGoroutines(t *testing.T, want int) {
	t.Helper()
	eventually(t, fmt.Sprintf("back to %d goroutines", want), func() bool { return runtime.NumGoroutine() <= want+2 })
}

// climb works for the given time and returns by how many bytes an hour the heap grows meanwhile: the slope of the line
// that fits best.
func climb(d time.Duration, work func()) float64 {
	var n, sx, sy, sxx, sxy float64
	for start := time.Now(); time.Since(start) < d; {
		work()
		x, y := time.Since(start).Hours(), float64(heap())
		n, sx, sy, sxx, sxy = n+1, sx+x, sy+y, sxx+x*x, sxy+x*y
	}
	return (n*sxy - sx*sy) / (n*sxx - sx*sx)
}
