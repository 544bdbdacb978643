package tenancy_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// The way that nearly every request takes. Beside it, for scale, what the bare pool does next: give out an idle
// connection and take it back.
func TestHitAllocatesNothing(t *testing.T) { //nolint:paralleltest // it counts allocations
	dir, base := databases(t, 1)
	r := resolver(t, tenancy.Config{Directory: dir, Base: base, TTL: -1})
	defer closeNow(t, r)
	held := acquire(t, r, "t0")
	defer held.Release()
	ctx := t.Context()
	if err := held.Pool().Ping(ctx); err != nil {
		t.Fatal(err)
	}
	nothing := func(context.Context, *pgxpool.Pool) error { return nil }
	paths := map[string]func() error{
		"Acquire": func() error {
			l, err := r.Acquire(ctx, "t0")
			if err == nil {
				l.Release()
			}
			return err
		},
		"AcquireFunc": func() error { return r.AcquireFunc(ctx, "t0", nothing) },
		"pgxpool": func() error {
			c, err := held.Pool().Acquire(ctx)
			if err == nil {
				c.Release()
			}
			return err
		},
	}
	rounds := pgtest.Size(5_000, 1_000_000)
	took, allocs := map[string]time.Duration{}, map[string]float64{}
	for name, path := range paths {
		start := time.Now()
		allocs[name] = testing.AllocsPerRun(rounds, func() {
			if err := path(); err != nil {
				t.Fatal(err)
			}
		})
		took[name] = time.Since(start) / time.Duration(rounds)
	}
	if allocs["AcquireFunc"] != 0 || allocs["Acquire"] > 1 {
		t.Errorf("AcquireFunc allocates %v times, Acquire %v times", allocs["AcquireFunc"], allocs["Acquire"])
	}
	pgtest.Figure(t, "R4", "hit: AcquireFunc %v and %v allocations, Acquire with Release %v and %v; pgxpool's Acquire "+
		"with Release %v and %v",
		took["AcquireFunc"], allocs["AcquireFunc"], took["Acquire"], allocs["Acquire"], took["pgxpool"], allocs["pgxpool"])
}
