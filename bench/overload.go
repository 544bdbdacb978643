package main

import (
	"context"
	"fmt"
	"time"
)

const (
	headroom  = 10 // what the server allows beyond the budget: a backend lives on for a moment after its connection
	perTenant = 4  // connections that one tenant may have
)

// overload is traffic of many more tenants than there are connections. Each rival starts with none.
func overload(ctx context.Context, s *suite) error {
	f, err := s.fleet(ctx)
	if err != nil {
		return err
	}
	budget, workers := pick(s.short, 6, 100), pick(s.short, 16, 64)
	if err := f.limit(ctx, budget+headroom); err != nil {
		return err
	}
	all, missing := rivals(budget)
	for _, why := range missing {
		s.say("leaves out %s", why)
		s.report.note("overload: " + why)
	}
	results := make([][]outcome, len(all))
	for round := range pick(s.short, 1, 5) {
		for i, r := range all {
			s.say("round %d: %s", round+1, r.name)
			o, err := r.measure(ctx, s, f, workers)
			if err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
			s.say("round %d: %s: %.0f req/s, p50 %.2f ms, p99 %.1f ms, %.0f dials and %.1f errors %v in 1,000",
				round+1, r.name, o.throughput, o.p50, o.p99, o.dials, o.errors, o.classes)
			if o.first != nil {
				s.say("round %d: %s: the first error: %v", round+1, r.name, o.first)
			}
			results[i] = append(results[i], o)
		}
	}
	name := fmt.Sprintf("%s, %d connections, %d workers", count(len(f.ids), "tenant"), budget, workers)
	for i, r := range all {
		r.figures(s, name, results[i])
	}
	compareRivals(s, name, all, results)
	return f.limit(ctx, -1)
}

// outcome is one run of one rival.
type outcome struct {
	throughput, p50, p99 float64
	dials, errors        float64 // for each 1,000 requests
	classes              map[string]int
	first                error
}

func (r *rival) measure(ctx context.Context, s *suite, f *fleet, n int) (outcome, error) {
	target, err := r.open(ctx, f)
	if err != nil {
		return outcome{}, err
	}
	workers := make([]worker, n)
	for i := range workers {
		workers[i] = request{target}
	}
	load(ctx, pick(s.short, 200*time.Millisecond, 3*time.Second), len(f.ids), workers)
	before := target.dials()
	t := load(ctx, pick(s.short, 300*time.Millisecond, 8*time.Second), len(f.ids), workers)
	dials := target.dials() - before
	target.close()
	if err := f.quiet(ctx); err != nil {
		return outcome{}, err
	}
	asked := float64(len(t.latencies) + t.failed())
	return outcome{
		throughput: t.throughput(), p50: quantile(t.latencies, 0.5), p99: quantile(t.latencies, 0.99),
		dials: 1000 * float64(dials) / asked, errors: 1000 * float64(t.failed()) / asked, classes: t.errors, first: t.first,
	}, nil
}

// request gives each request 5 s.
type request struct{ target target }

func (r request) do(ctx context.Context, tenant int) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return r.target.query(ctx, tenant)
}

func (request) close() {}

func (r *rival) figures(s *suite, name string, results []outcome) {
	noErrors := atMost(0)
	if r.rival {
		noErrors = nil
	}
	for _, m := range []struct {
		metric, unit string
		goal         *goal
		of           func(outcome) float64
	}{
		{"throughput", "req/s", nil, func(o outcome) float64 { return o.throughput }},
		{"latency p50", "ms", nil, func(o outcome) float64 { return o.p50 }},
		{"latency p99", "ms", nil, func(o outcome) float64 { return o.p99 }},
		{"dials in 1,000 requests", "", nil, func(o outcome) float64 { return o.dials }},
		{"errors in 1,000 requests", "", noErrors, func(o outcome) float64 { return o.errors }},
	} {
		s.add(figure{Case: name, Subject: r.name, Rival: r.rival, Metric: m.metric, Unit: m.unit, Goal: m.goal},
			each(results, m.of)...)
	}
}

// compareRivals adds our best figure against the rivals that it should beat.
func compareRivals(s *suite, name string, all []rival, results [][]outcome) {
	throughput := func(o outcome) float64 { return o.throughput }
	for i, b := range all {
		if !b.beat {
			continue
		}
		f := figure{Case: name, Subject: all[0].name, Metric: "throughput, times that of " + b.name, Goal: atLeast(1)}
		s.add(f, ratios(each(results[0], throughput), each(results[i], throughput))...)
	}
}

func each(results []outcome, of func(outcome) float64) (values []float64) {
	for _, o := range results {
		values = append(values, of(o))
	}
	return values
}
