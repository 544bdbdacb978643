package tenancyprom

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Worst finds the tenants whose acquires and connects take longest. It keeps the seconds of each tenant that waited
// since the last scrape, and exports the n tenants with most of them as pgtenancy_tenant_wait_seconds, a gauge with the
// label tenant. After that it begins anew: it is meant for one scraper. A tenant is a label here, which is a series of
// its own in Prometheus for each that was ever among the worst.
type Worst struct {
	n int

	mu     sync.Mutex // guards waited
	waited map[tenancy.ID]time.Duration
}

// maxWaiting bounds how many tenants are kept between two scrapes. What others wait is not counted then.
const maxWaiting = 10_000

// NewWorst returns a Worst that exports n tenants. Set its Observe'd functions in the resolver's configuration.
func NewWorst(n int) *Worst { return &Worst{n: max(n, 0), waited: make(map[tenancy.ID]time.Duration)} }

// Observe returns next with functions that tell w what tenants wait for and then call next's.
func (w *Worst) Observe(next tenancy.Observer) tenancy.Observer {
	acquired, dialled := next.AcquireWaited, next.Dialled
	next.AcquireWaited = func(ctx context.Context, id tenancy.ID, took time.Duration, err error) {
		w.add(id, took)
		if acquired != nil {
			acquired(ctx, id, took, err)
		}
	}
	next.Dialled = func(ctx context.Context, id tenancy.ID, server string, took time.Duration, err error) {
		w.add(id, took)
		if dialled != nil {
			dialled(ctx, id, server, took, err)
		}
	}
	return next
}

func (w *Worst) add(id tenancy.ID, took time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, known := w.waited[id]; known || len(w.waited) < maxWaiting {
		w.waited[tenancy.ID(strings.Clone(string(id)))] += took
	}
}

// take returns the worst tenants since the last call, the worst first.
func (w *Worst) take() ([]tenancy.ID, map[tenancy.ID]time.Duration) {
	w.mu.Lock()
	waited := w.waited
	w.waited = make(map[tenancy.ID]time.Duration)
	w.mu.Unlock()
	ids := slices.SortedFunc(maps.Keys(waited), func(a, b tenancy.ID) int {
		return cmp.Or(cmp.Compare(waited[b], waited[a]), cmp.Compare(a, b))
	})
	return ids[:min(w.n, len(ids))], waited
}

func (w *Worst) collect(metrics chan<- prometheus.Metric) {
	ids, waited := w.take()
	for _, id := range ids {
		desc := prometheus.NewDesc("pgtenancy_tenant_wait_seconds",
			"Time that the tenant's acquires and connects took since the last scrape, for the worst tenants.",
			nil, prometheus.Labels{"tenant": string(id)})
		metrics <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, waited[id].Seconds())
	}
}
