package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/pgtenancy/pgtenancy/middleware"
)

// clients is how many clients ask at once.
const clients = 16

// routed compares middleware.Tenant with the oracle: a handler that finds the same pools in a plain map.
func routed(ctx context.Context, s *suite) error {
	return eachService(ctx, s, func(ctx context.Context, v *service, name string) error {
		m, err := middleware.New(middleware.Config{
			Resolver: v.resolver, Identify: middleware.FromPathValue("tenant"),
			Public: true,
		})
		if err != nil {
			return err
		}
		handlers := []subject{
			{name: "oracle: a map", rival: true, handler: v.oracle()},
			{name: "middleware.Tenant", handler: m.Tenant(leased()), goal: atLeast(0.97)},
			{name: "one pool, one tenant", rival: true, handler: v.single()},
		}
		if err := compare(ctx, s, v, name, handlers, overLoopback); err != nil {
			return err
		}
		return compare(ctx, s, v, name+", no network", withoutGoal(handlers[:2]), inProcess)
	})
}

// eachService calls f with a service of 1, 100 and 1,000 tenants, the pools of which are all open.
func eachService(ctx context.Context, s *suite, f func(context.Context, *service, string) error) error {
	fl, err := s.fleet(ctx)
	if err != nil {
		return err
	}
	for _, size := range pick(s.short, []struct{ tenants, conns int }{{1, 4}, {8, 1}},
		[]struct{ tenants, conns int }{{1, clients}, {100, 4}, {1000, 1}}) {
		name := count(size.tenants, "tenant")
		s.say("%s: opens the pools, %s each", name, count(size.conns, "connection"))
		v, err := newService(ctx, fl, size.tenants, int32(size.conns)) //nolint:gosec // a few
		if err != nil {
			return err
		}
		if err := errors.Join(f(ctx, v, name), v.close(ctx)); err != nil {
			return err
		}
		if err := fl.quiet(ctx); err != nil {
			return err
		}
	}
	return nil
}

// subject is a handler that is compared with the first one.
type subject struct {
	name    string
	rival   bool
	handler http.Handler
	tokens  []string // for each tenant; none: the requests carry no token
	goal    *goal    // for its share of the first one's throughput
}

func withoutGoal(subjects []subject) []subject {
	var all []subject
	for _, x := range subjects {
		x.goal = nil
		all = append(all, x)
	}
	return all
}

// transport returns workers that make requests of a handler, and how to end it.
type transport func(ctx context.Context, x subject, v *service) ([]worker, func() error, error)

// compare adds the throughput of every subject, and its share of that of the first.
func compare(ctx context.Context, s *suite, v *service, name string, subjects []subject, by transport) error {
	var contenders []contender
	for _, x := range subjects {
		workers, end, err := by(ctx, x, v)
		if err != nil {
			return err
		}
		defer end() //nolint:errcheck // only its requests count, and they have been answered
		defer closeAll(workers)
		contenders = append(contenders,
			contender{name: x.name, rival: x.rival, run: func(ctx context.Context) (float64, error) {
				t := load(ctx, pick(s.short, 50*time.Millisecond, 250*time.Millisecond), v.tenants, workers)
				if t.failed() > 0 {
					return 0, fmt.Errorf("%s: %d requests failed, the first one with %w", x.name, t.failed(), t.first)
				}
				return t.throughput(), ctx.Err()
			}})
	}
	s.say("%s", name)
	if _, err := interleave(ctx, 1, contenders); err != nil { // warms up
		return err
	}
	runs, err := interleave(ctx, pick(s.short, 2, 41), contenders)
	if err != nil {
		return err
	}
	for i, x := range subjects {
		s.add(figure{Case: name, Subject: x.name, Rival: x.rival, Metric: "throughput", Unit: "req/s"}, runs[i]...)
	}
	for i, x := range subjects[1:] {
		f := figure{Case: name, Subject: x.name, Rival: x.rival, Metric: "share of the oracle's", Goal: x.goal}
		s.add(f, ratios(runs[i+1], runs[0])...)
	}
	return nil
}
