package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// hit compares a lease on a cached pool with the look-up in a cache that everybody would write instead.
func hit(ctx context.Context, s *suite) error {
	for _, tenants := range pick(s.short, []int{1000}, []int{1000, 100_000}) {
		s.say("opens %s pools", thousands(tenants))
		h, err := newHitter(ctx, tenants, nil)
		if err != nil {
			return err
		}
		for _, cpus := range []int{1, 2} {
			err = errors.Join(err, h.compare(ctx, s, cpus))
		}
		if err := errors.Join(err, closeResolver(ctx, h.resolver)); err != nil {
			return err
		}
	}
	return attached(ctx, s)
}

// attached compares a lease on a cached pool with the same of a pool that has a value of Config.Attach.
func attached(ctx context.Context, s *suite) (err error) {
	const tenants, subject = 1000, "Acquire and Release with Attach"
	var contenders []contender
	for _, a := range []attach{nil, attachNothing} {
		h, err := newHitter(ctx, tenants, a)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, closeResolver(ctx, h.resolver)) }()
		contenders = append(contenders, contender{name: subject, run: func(ctx context.Context) (float64, error) {
			ns, _, err := perOp(ctx, 1, pick(s.short, 20_000, 1_000_000), h.acquire)
			return ns, err
		}})
	}
	runs, err := interleave(ctx, pick(s.short, 3, 31), contenders)
	if err != nil {
		return err
	}
	more := make([]float64, len(runs[0]))
	for i := range more {
		more[i] = runs[1][i] - runs[0][i]
	}
	s.add(figure{
		Case: count(tenants, "tenant") + ", 1 CPU", Subject: subject,
		Metric: "more than without", Unit: "ns", Goal: atMost(3),
	}, more...)
	return nil
}

// attach is the type of tenancy's Config.Attach.
type attach = func(context.Context, tenancy.Tenant, *pgxpool.Pool) (any, func(), error)

func attachNothing(context.Context, tenancy.Tenant, *pgxpool.Pool) (any, func(), error) {
	return "value", func() {}, nil
}

// hitter holds the pools, which are never dialled, in a resolver and in a cache.
type hitter struct {
	tenants  int
	keys     []tenancy.ID // in the order in which they are asked for
	resolver *tenancy.Resolver
	cache    *lru.Cache[tenancy.ID, *pgxpool.Pool]
}

func newHitter(ctx context.Context, tenants int, a attach) (*hitter, error) {
	all := ids(tenants)
	h := &hitter{tenants: tenants, keys: make([]tenancy.ID, 1<<18)}
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same in every run
	for i := range h.keys {
		h.keys[i] = all[random.IntN(tenants)]
	}
	var err error
	if h.resolver, err = undialled(tenants, a); err != nil {
		return nil, err
	}
	if h.cache, err = lru.New[tenancy.ID, *pgxpool.Pool](tenants); err != nil {
		return nil, err
	}
	for _, id := range all {
		lease, err := h.resolver.Acquire(ctx, id)
		if err != nil {
			return nil, errors.Join(err, closeResolver(ctx, h.resolver))
		}
		h.cache.Add(id, lease.Pool())
		lease.Release()
	}
	return h, nil
}

// undialled returns a resolver for pools without queries. It keeps their own timers out of the measurement.
func undialled(tenants int, a attach) (*tenancy.Resolver, error) {
	base, err := pgxpool.ParseConfig("host=127.0.0.1 port=1 user=nobody dbname=none sslmode=disable")
	if err != nil {
		return nil, err
	}
	base.HealthCheckPeriod = time.Hour
	return tenancy.New(tenancy.Config{
		Directory: nobodys(), Base: base, MaxPools: tenants, TTL: -1, IdleTimeout: -1, Attach: a,
	})
}

// compare adds the figures for one number of CPUs.
func (h *hitter) compare(ctx context.Context, s *suite, cpus int) error {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(cpus))
	name := fmt.Sprintf("%s, %s", count(h.tenants, "tenant"), count(cpus, "CPU"))
	s.say("%s", name)
	loops := []loop{h.get, h.acquireFunc, h.acquire}
	contenders := []contender{{name: "lru.Cache.Get", rival: true}, {name: "AcquireFunc"}, {name: "Acquire and Release"}}
	allocs := make([][]float64, len(loops))
	ops := 1_000_000
	if h.tenants > len(h.keys)/4 {
		ops = len(h.keys) // each key once: they miss the CPU's caches and take ten times as long
	}
	for i := range contenders {
		contenders[i].run = func(ctx context.Context) (float64, error) {
			ns, n, err := perOp(ctx, cpus, pick(s.short, 20_000, ops), loops[i])
			allocs[i] = append(allocs[i], n)
			return ns, err
		}
	}
	runs, err := interleave(ctx, pick(s.short, 3, 15), contenders)
	if err != nil {
		return err
	}
	for i, c := range contenders {
		s.add(figure{Case: name, Subject: c.name, Rival: c.rival, Metric: "time", Unit: "ns"}, runs[i]...)
	}
	for i, c := range contenders[1:] {
		f := figure{Case: name, Subject: c.name, Metric: "times lru.Cache.Get", Goal: atMost(3)}
		s.add(f, ratios(runs[i+1], runs[0])...)
		s.add(figure{Case: name, Subject: c.name, Metric: "allocations", Goal: atMost(float64(i))}, allocs[i+1]...)
	}
	return nil
}

// A loop does n look-ups, beginning with the given key.
type loop func(ctx context.Context, first, n int) error

func (h *hitter) key(i int) tenancy.ID { return h.keys[i&(len(h.keys)-1)] }

func (h *hitter) get(_ context.Context, first, n int) error {
	for i := range n {
		if _, ok := h.cache.Get(h.key(first + i)); !ok {
			return errors.New("a key is missing")
		}
	}
	return nil
}

func (h *hitter) acquire(ctx context.Context, first, n int) error {
	for i := range n {
		lease, err := h.resolver.Acquire(ctx, h.key(first+i))
		if err != nil {
			return err
		}
		lease.Release()
	}
	return nil
}

func (h *hitter) acquireFunc(ctx context.Context, first, n int) error {
	nothing := func(context.Context, *pgxpool.Pool) error { return nil }
	for i := range n {
		if err := h.resolver.AcquireFunc(ctx, h.key(first+i), nothing); err != nil {
			return err
		}
	}
	return nil
}

// perOp does n operations on each CPU at once and returns the time of one and its allocations.
func perOp(ctx context.Context, cpus, n int, f loop) (ns, allocs float64, err error) {
	errs := make([]error, cpus)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	start := time.Now()
	var wg sync.WaitGroup
	for cpu := range cpus {
		wg.Go(func() { errs[cpu] = f(ctx, cpu*len(errs)*7919, n) })
	}
	wg.Wait()
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	ops := float64(cpus * n)
	// Goroutines and timers of the measurement itself are a handful of allocations; they are not the operation's.
	allocs = float64(int(float64(after.Mallocs-before.Mallocs)/ops*1000)) / 1000
	return float64(took.Nanoseconds()) / ops, allocs, errors.Join(errs...)
}

// closeResolver bounds what the end of a benchmark may take.
func closeResolver(ctx context.Context, r *tenancy.Resolver) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	return r.Close(ctx)
}
