package tenancyprom

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Config says what is exported. At least one of Resolver, Provisioner and Registry must be set.
type Config struct {
	// Resolver's figures are pgtenancy_resolver_*: those of tenancy.Stat.Figures.
	Resolver interface{ Stat() *tenancy.Stat }

	// Provisioner's figures are pgtenancy_provision_*: what the steps of sign-ups and deletions take.
	Provisioner interface{ Stat() *provision.Stat }

	// Registry's figures are pgtenancy_follow_*: how far behind this process is with the changes of the registry.
	Registry interface{ FollowStat() registry.FollowStat }

	// WorstTenants, if set, has a label for tenants: see [NewWorst]. Default: no figure names a tenant.
	WorstTenants *Worst
}

// Collector is a [prometheus.Collector]. Make one with [New].
type Collector struct{ cfg Config }

var _ prometheus.Collector = (*Collector)(nil)

// New returns a collector, to be registered by the caller.
func New(cfg Config) (*Collector, error) {
	if cfg.Resolver == nil && cfg.Provisioner == nil && cfg.Registry == nil {
		return nil, errors.New("tenancyprom: Config: Resolver, Provisioner or Registry is required")
	}
	return &Collector{cfg: cfg}, nil
}

// Describe describes nothing: which servers and steps there are turns out later. Prometheus calls such a collector
// unchecked.
func (c *Collector) Describe(chan<- *prometheus.Desc) {}

// Collect sends the figures of this moment. It does no I/O.
func (c *Collector) Collect(metrics chan<- prometheus.Metric) {
	if c.cfg.Resolver != nil {
		collectResolver(metrics, c.cfg.Resolver.Stat())
	}
	if c.cfg.Provisioner != nil {
		collectProvisioner(metrics, c.cfg.Provisioner.Stat())
	}
	if c.cfg.Registry != nil {
		collectFollow(metrics, c.cfg.Registry.FollowStat(), time.Now())
	}
	if c.cfg.WorstTenants != nil {
		c.cfg.WorstTenants.collect(metrics)
	}
}

func collectResolver(metrics chan<- prometheus.Metric, stat *tenancy.Stat) {
	for f := range stat.Figures() {
		var labels prometheus.Labels
		if f.Label != "" {
			labels = prometheus.Labels{f.Label: f.LabelValue}
		}
		desc := prometheus.NewDesc("pgtenancy_resolver_"+f.Name, f.Help, nil, labels)
		switch f.Kind {
		case tenancy.Gauge:
			metrics <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, f.Value)
		case tenancy.CumulativeCount:
			metrics <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, f.Value)
		case tenancy.WaitDistribution:
			metrics <- histogram(desc, f.Histogram)
		}
	}
}

func histogram(desc *prometheus.Desc, h tenancy.Histogram) prometheus.Metric {
	buckets := make(map[float64]uint64)
	for bound, n := range h.Buckets() {
		buckets[bound.Seconds()] = uint64(n) //nolint:gosec // a count
	}
	count := uint64(h.Count()) //nolint:gosec // a count
	return prometheus.MustNewConstHistogram(desc, count, h.Sum().Seconds(), buckets)
}

func collectProvisioner(metrics chan<- prometheus.Metric, stat *provision.Stat) {
	send := func(step, name, help string, kind prometheus.ValueType, value float64) {
		desc := prometheus.NewDesc("pgtenancy_provision_"+name, help, nil, prometheus.Labels{"step": step})
		metrics <- prometheus.MustNewConstMetric(desc, kind, value)
	}
	for _, s := range stat.Steps() {
		send(s.Name(), "steps_total", "Times that a step was taken, in vain or not.",
			prometheus.CounterValue, float64(s.Count()))
		send(s.Name(), "step_errors_total", "Times that a step failed.",
			prometheus.CounterValue, float64(s.ErrorCount()))
		send(s.Name(), "step_seconds_total", "Time that a step took in all.",
			prometheus.CounterValue, s.Duration().Seconds())
		send(s.Name(), "step_longest_seconds", "Longest time that a step took since the start.",
			prometheus.GaugeValue, s.Longest().Seconds())
	}
}

func collectFollow(metrics chan<- prometheus.Metric, stat registry.FollowStat, now time.Time) {
	send := func(name, help string, kind prometheus.ValueType, value float64) {
		desc := prometheus.NewDesc("pgtenancy_follow_"+name, help, nil, nil)
		metrics <- prometheus.MustNewConstMetric(desc, kind, value)
	}
	lag := 0.0
	if last := stat.LastRead(); !last.IsZero() {
		lag = max(0, now.Sub(last).Seconds())
	}
	send("running", "Calls of Follow that run.", prometheus.GaugeValue, float64(stat.Running()))
	send("lag_seconds", "Time since the changes were last read to their end; 0 if none follows.",
		prometheus.GaugeValue, lag)
	send("failures_total", "Connections to the registry that failed.", prometheus.CounterValue,
		float64(stat.FailureCount()))
	send("lost_total", "Times that every tenant was announced anew because changes were lost.",
		prometheus.CounterValue, float64(stat.LostCount()))
}
