package tenancyotel

import (
	"context"
	"errors"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Config says what is exported. At least one of its fields must be set.
type Config struct {
	// Resolver's figures are pgtenancy.resolver.*: those of tenancy.Stat.Figures, without the ends _total and _seconds.
	Resolver interface{ Stat() *tenancy.Stat }

	// Provisioner's figures are pgtenancy.provision.*: what the steps of sign-ups and deletions take.
	Provisioner interface{ Stat() *provision.Stat }

	// Registry's figures are pgtenancy.follow.*: how far behind this process is with the changes of the registry.
	Registry interface{ FollowStat() registry.FollowStat }
}

// Producer is a [metric.Producer]: give it to a reader by metric.WithProducer. Its counts are cumulative. Make one with
// [NewProducer].
type Producer struct {
	cfg   Config
	start time.Time
}

var _ metric.Producer = (*Producer)(nil)

// NewProducer returns a producer.
func NewProducer(cfg Config) (*Producer, error) {
	if cfg.Resolver == nil && cfg.Provisioner == nil && cfg.Registry == nil {
		return nil, errors.New("tenancyotel: Config: Resolver, Provisioner or Registry is required")
	}
	return &Producer{cfg: cfg, start: time.Now()}, nil
}

// Produce returns the figures of this moment. It does no I/O, and needs no ctx.
func (p *Producer) Produce(context.Context) ([]metricdata.ScopeMetrics, error) {
	b := batch{start: p.start, now: time.Now(), of: map[string]int{}}
	if p.cfg.Resolver != nil {
		b.resolver(p.cfg.Resolver.Stat())
	}
	if p.cfg.Provisioner != nil {
		b.provisioner(p.cfg.Provisioner.Stat())
	}
	if p.cfg.Registry != nil {
		b.follow(p.cfg.Registry.FollowStat())
	}
	return []metricdata.ScopeMetrics{{Scope: instrumentation.Scope{Name: scope}, Metrics: b.metrics}}, nil
}

// batch is what one Produce returns.
type batch struct {
	start, now time.Time
	metrics    []metricdata.Metrics
	of         map[string]int // the index in metrics, by name
}

func (b *batch) resolver(stat *tenancy.Stat) {
	for f := range stat.Figures() {
		name, seconds := strings.CutSuffix(strings.TrimSuffix(f.Name, "_total"), "_seconds")
		name = "pgtenancy.resolver." + name
		unit := "1"
		if seconds {
			unit = "s"
		}
		var labels []attribute.KeyValue
		if f.Label != "" {
			labels = append(labels, attribute.String("pgtenancy."+f.Label, f.LabelValue))
		}
		switch f.Kind {
		case tenancy.Gauge:
			b.gauge(name, unit, f.Help, f.Value, labels...)
		case tenancy.CumulativeCount:
			b.sum(name, unit, f.Help, f.Value, labels...)
		case tenancy.WaitDistribution:
			b.histogram(name, f.Help, f.Histogram, labels...)
		}
	}
}

func (b *batch) provisioner(stat *provision.Stat) {
	for _, s := range stat.Steps() {
		step := attribute.String("pgtenancy.step", s.Name())
		b.sum("pgtenancy.provision.steps", "1", "Times that a step was taken, in vain or not.", float64(s.Count()), step)
		b.sum("pgtenancy.provision.step_errors", "1", "Times that a step failed.", float64(s.ErrorCount()), step)
		b.sum("pgtenancy.provision.step_time", "s", "Time that a step took in all.", s.Duration().Seconds(), step)
		b.gauge("pgtenancy.provision.step_longest", "s", "Longest time that a step took since the start.",
			s.Longest().Seconds(), step)
	}
}

func (b *batch) follow(stat registry.FollowStat) {
	lag := 0.0
	if last := stat.LastRead(); !last.IsZero() {
		lag = max(0, b.now.Sub(last).Seconds())
	}
	b.gauge("pgtenancy.follow.running", "1", "Calls of Follow that run.", float64(stat.Running()))
	b.gauge("pgtenancy.follow.lag", "s", "Time since the changes were last read to their end; 0 if none follows.", lag)
	b.sum("pgtenancy.follow.failures", "1", "Connections to the registry that failed.", float64(stat.FailureCount()))
	b.sum("pgtenancy.follow.lost", "1", "Times that every tenant was announced anew because changes were lost.",
		float64(stat.LostCount()))
}

// metric returns the metric with the given name, which is made with the given data if it is new.
func (b *batch) metric(name, unit, help string, data metricdata.Aggregation) *metricdata.Metrics {
	i, ok := b.of[name]
	if !ok {
		i = len(b.metrics)
		b.of[name] = i
		b.metrics = append(b.metrics, metricdata.Metrics{Name: name, Unit: unit, Description: help, Data: data})
	}
	return &b.metrics[i]
}

func (b *batch) point(value float64, labels []attribute.KeyValue) metricdata.DataPoint[float64] {
	return metricdata.DataPoint[float64]{
		Attributes: attribute.NewSet(labels...), StartTime: b.start, Time: b.now, Value: value,
	}
}

func (b *batch) gauge(name, unit, help string, value float64, labels ...attribute.KeyValue) {
	m := b.metric(name, unit, help, metricdata.Gauge[float64]{})
	if g, ok := m.Data.(metricdata.Gauge[float64]); ok {
		g.DataPoints = append(g.DataPoints, b.point(value, labels))
		m.Data = g
	}
}

func (b *batch) sum(name, unit, help string, value float64, labels ...attribute.KeyValue) {
	m := b.metric(name, unit, help, metricdata.Sum[float64]{
		Temporality: metricdata.CumulativeTemporality, IsMonotonic: true,
	})
	if s, ok := m.Data.(metricdata.Sum[float64]); ok {
		s.DataPoints = append(s.DataPoints, b.point(value, labels))
		m.Data = s
	}
}

func (b *batch) histogram(name, help string, h tenancy.Histogram, labels ...attribute.KeyValue) {
	point := metricdata.HistogramDataPoint[float64]{
		Attributes: attribute.NewSet(labels...), StartTime: b.start, Time: b.now,
		Count: uint64(h.Count()), Sum: h.Sum().Seconds(), //nolint:gosec // a count
	}
	below := uint64(0)
	for bound, n := range h.Buckets() {
		point.Bounds = append(point.Bounds, bound.Seconds())
		upTo := uint64(n) //nolint:gosec // a count
		point.BucketCounts = append(point.BucketCounts, upTo-below)
		below = upTo
	}
	point.BucketCounts = append(point.BucketCounts, point.Count-below)
	m := b.metric(name, "s", help, metricdata.Histogram[float64]{Temporality: metricdata.CumulativeTemporality})
	if d, ok := m.Data.(metricdata.Histogram[float64]); ok {
		d.DataPoints = append(d.DataPoints, point)
		m.Data = d
	}
}
