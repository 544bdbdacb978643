package main

import (
	"context"
	"errors"
	"math"
	"runtime"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// memory is what a tenant costs that is cached and idle: in a resolver, and as a bare pgxpool.
func memory(ctx context.Context, s *suite) error {
	n := pick(s.short, 200, 10_000)
	name := count(n, "tenant") + ", never dialled"
	s.say("%s", name)
	all := ids(n)
	rounds := pick(s.short, 1, 3)
	var bare, ours footprints
	for range rounds {
		x, err := barePools(ctx, all)
		if err != nil {
			return err
		}
		bare.add(x)
		r, err := undialled(n, nil)
		if err != nil {
			return err
		}
		if x, err = resolverFootprint(ctx, r, all, nothingMore); err != nil {
			return err
		}
		ours.add(x)
	}
	bare.figures(s, name, "pgxpool.Pool", true)
	ours.figures(s, name, "Resolver", false)
	return afterUse(ctx, s)
}

// afterUse measures the resolver when every tenant had a connection and has it no longer.
func afterUse(ctx context.Context, s *suite) error {
	f, err := s.fleet(ctx)
	if err != nil {
		return err
	}
	name := count(len(f.ids), "tenant") + ", last connection closed"
	s.say("%s", name)
	base, err := f.base()
	if err != nil {
		return err
	}
	base.MaxConnIdleTime, base.HealthCheckPeriod = time.Millisecond, 500*time.Millisecond
	r, err := tenancy.New(tenancy.Config{
		Directory: f, Base: base, MaxPools: len(f.ids), MaxConnsPerTenant: 1, MaxConns: -1, TTL: -1, IdleTimeout: -1,
	})
	if err != nil {
		return err
	}
	x, err := resolverFootprint(ctx, r, f.ids, func(ctx context.Context, pool *pgxpool.Pool) error {
		if _, err := selectName(ctx, pool, 1); err != nil {
			return err
		}
		return empty(ctx, pool)
	})
	if err != nil {
		return err
	}
	var ours footprints
	ours.add(x)
	ours.figures(s, name, "Resolver", false)
	return f.quiet(ctx)
}

// empty waits until the pool has no connection.
func empty(ctx context.Context, pool *pgxpool.Pool) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for pool.Stat().TotalConns() > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// asleep waits until n pools sleep, which takes the resolver a second or two.
func asleep(ctx context.Context, r *tenancy.Resolver, n int) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for r.Stat().SleepingPools() < n {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// footprint is what one tenant takes.
type footprint struct{ bytes, goroutines float64 }

type footprints struct{ bytes, goroutines []float64 }

func (fs *footprints) add(f footprint) {
	fs.bytes, fs.goroutines = append(fs.bytes, f.bytes), append(fs.goroutines, f.goroutines)
}

func (fs *footprints) figures(s *suite, name, who string, rival bool) {
	b := figure{Case: name, Subject: who, Rival: rival, Metric: "memory for each tenant", Unit: "B"}
	g := figure{Case: name, Subject: who, Rival: rival, Metric: "goroutines for each tenant"}
	if !rival {
		b.Goal, g.Goal = atMost(1024), atMost(0)
	}
	s.add(b, fs.bytes...)
	s.add(g, fs.goroutines...)
}

// grown returns what f added to this process, heap and stacks, for each of n.
func grown(n int, f func() error) (footprint, error) {
	var before, after runtime.MemStats
	settle(&before)
	goroutines := runtime.NumGoroutine()
	if err := f(); err != nil {
		return footprint{}, err
	}
	settle(&after)
	return footprint{
		bytes:      (used(&after) - used(&before)) / float64(n),
		goroutines: math.Round(float64(runtime.NumGoroutine()-goroutines) / float64(n)),
	}, nil
}

// settle reads the memory in use after garbage collection has freed the rest.
func settle(m *runtime.MemStats) {
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(m)
}

func used(m *runtime.MemStats) float64 { return float64(m.HeapAlloc) + float64(m.StackInuse) }

func barePools(ctx context.Context, all []tenancy.ID) (footprint, error) {
	base, err := pgxpool.ParseConfig("host=127.0.0.1 port=1 user=nobody dbname=none sslmode=disable")
	if err != nil {
		return footprint{}, err
	}
	pools := make(map[tenancy.ID]*pgxpool.Pool)
	x, err := grown(len(all), func() error {
		for _, id := range all {
			pool, err := pgxpool.NewWithConfig(ctx, base.Copy())
			if err != nil {
				return err
			}
			pools[id] = pool
		}
		return nil
	})
	for _, pool := range pools {
		pool.Close()
	}
	return x, err
}

func nothingMore(context.Context, *pgxpool.Pool) error { return nil }

// resolverFootprint caches a pool for each of all, uses it, and closes the resolver.
func resolverFootprint(
	ctx context.Context, r *tenancy.Resolver, all []tenancy.ID, use func(context.Context, *pgxpool.Pool) error,
) (footprint, error) {
	x, err := grown(len(all), func() error {
		var g errgroup.Group
		g.SetLimit(64)
		for _, id := range all {
			g.Go(func() error { return r.AcquireFunc(ctx, id, use) })
		}
		return errors.Join(g.Wait(), asleep(ctx, r, len(all)))
	})
	return x, errors.Join(err, closeResolver(ctx, r))
}
