package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// first is where the time goes in the first request of a tenant whose pool was evicted.
func first(ctx context.Context, s *suite) error {
	f, err := s.fleet(ctx)
	if err != nil {
		return err
	}
	tenants := min(20, len(f.ids))
	s.say("registers %s", count(tenants, "tenant"))
	reg, err := newCatalogue(ctx, f, tenants)
	if err != nil {
		return err
	}
	c, err := newCold(f, reg)
	if err != nil {
		return err
	}
	s.say("evicts and asks")
	var total, rest []float64
	parts := make([][]float64, len(c.clock.parts()))
	for i := range pick(s.short, tenants, 500) + tenants { // the first time round, PostgreSQL's caches are cold too
		took, err := c.request(ctx, f.ids[i%tenants])
		if err != nil {
			return errors.Join(err, closeResolver(ctx, c.resolver))
		}
		if i < tenants {
			continue
		}
		sum := 0.0
		for k, p := range c.clock.parts() {
			parts[k] = append(parts[k], p)
			sum += p
		}
		total, rest = append(total, ms(took)), append(rest, ms(took)-sum)
	}
	name := "a warm tenant, after eviction"
	for k, part := range []string{"look-up in the registry", "dial and log in", "query"} {
		s.add(figure{Case: name, Subject: part, Metric: "time", Unit: "ms"}, parts[k]...)
	}
	s.add(figure{Case: name, Subject: "everything else", Metric: "time", Unit: "ms"}, rest...)
	s.add(figure{Case: name, Subject: "in all", Metric: "time", Unit: "ms"}, total...)
	err = closeResolver(ctx, c.resolver)
	reg.pool.Close()
	return errors.Join(err, f.quiet(ctx))
}

// cold is a resolver that tells where the time goes.
type cold struct {
	resolver *tenancy.Resolver
	clock    *stopwatch
	closed   chan struct{} // told of each pool
}

func newCold(f *fleet, reg *catalogue) (*cold, error) {
	base, err := f.base()
	if err != nil {
		return nil, err
	}
	c := &cold{clock: new(stopwatch), closed: make(chan struct{}, 1)}
	base.ConnConfig.Tracer = c.clock
	c.resolver, err = tenancy.New(tenancy.Config{
		Directory: tenancy.DirectoryFunc(func(ctx context.Context, id tenancy.ID) (tenancy.Tenant, error) {
			defer c.clock.lookup.since(time.Now())
			return reg.Lookup(ctx, id)
		}),
		Base:     base,
		Observer: tenancy.Observer{PoolClosed: func(tenancy.ID, tenancy.Cause, time.Duration) { c.closed <- struct{}{} }},
	})
	return c, err
}

// request makes one request, and evicts the tenant again.
func (c *cold) request(ctx context.Context, id tenancy.ID) (time.Duration, error) {
	c.clock.reset()
	start := time.Now()
	err := c.resolver.AcquireFunc(ctx, id, func(ctx context.Context, pool *pgxpool.Pool) error {
		_, err := selectName(ctx, pool, 1)
		return err
	})
	took := time.Since(start)
	if err != nil {
		return 0, fmt.Errorf("tenant %q: %w", id, err)
	}
	c.resolver.Evict(id)
	<-c.closed
	return took, nil
}

// stopwatch takes the time of what pgx and the directory do.
type stopwatch struct{ lookup, connect, query lap }

type lap struct{ ns atomic.Int64 }

func (l *lap) since(t time.Time) { l.ns.Add(int64(time.Since(t))) }

func (w *stopwatch) parts() []float64 {
	var all []float64
	for _, l := range []*lap{&w.lookup, &w.connect, &w.query} {
		all = append(all, ms(time.Duration(l.ns.Load())))
	}
	return all
}

func (w *stopwatch) reset() {
	for _, l := range []*lap{&w.lookup, &w.connect, &w.query} {
		l.ns.Store(0)
	}
}

type startedAt struct{}

func (w *stopwatch) TraceConnectStart(ctx context.Context, _ pgx.TraceConnectStartData) context.Context {
	return context.WithValue(ctx, startedAt{}, time.Now())
}

func (w *stopwatch) TraceConnectEnd(ctx context.Context, _ pgx.TraceConnectEndData) {
	if t, ok := ctx.Value(startedAt{}).(time.Time); ok {
		w.connect.since(t)
	}
}

func (w *stopwatch) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return context.WithValue(ctx, startedAt{}, time.Now())
}

func (w *stopwatch) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryEndData) {
	if t, ok := ctx.Value(startedAt{}).(time.Time); ok {
		w.query.since(t)
	}
}
