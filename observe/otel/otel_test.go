package tenancyotel_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/observe/otel"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// newResolver makes a resolver that knows the tenant "acme", which has an empty database.
func newResolver(t *testing.T, observer tenancy.Observer) *tenancy.Resolver {
	t.Helper()
	cc := pgtest.Database(t).ConnConfig
	base, err := pgxpool.ParseConfig(fmt.Sprintf("host=%s port=%d sslmode=disable", cc.Host, cc.Port))
	if err != nil {
		t.Fatal(err)
	}
	r, err := tenancy.New(tenancy.Config{
		Base: base, Observer: observer,
		Directory: tenancy.DirectoryFunc(func(_ context.Context, id tenancy.ID) (tenancy.Tenant, error) {
			if id != "acme" {
				return tenancy.Tenant{}, tenancy.ErrNotFound
			}
			return tenancy.Tenant{State: tenancy.Active, Endpoint: tenancy.Endpoint{
				Server: "one", Host: cc.Host, Port: cc.Port, Database: cc.Database, User: cc.User,
				Password: tenancy.NewSecret(cc.Password),
			}}, nil
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close(context.WithoutCancel(t.Context())) })
	return r
}

func TestWaitsAreSpansOfTheirCallers(t *testing.T) {
	t.Parallel()
	exporter := tracetest.NewInMemoryExporter()
	provider := trace.NewTracerProvider(trace.WithSyncer(exporter))
	defer func() { _ = provider.Shutdown(context.WithoutCancel(t.Context())) }()
	next := 0
	r := newResolver(t, tenancyotel.Observe(tenancy.Observer{
		LookedUp: func(tenancy.ID, time.Duration, error) { next++ },
	}, provider))
	ctx, request := provider.Tracer("test").Start(t.Context(), "request")
	for range 2 { // a miss with a dial, then a hit
		l, err := r.Acquire(ctx, "acme")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Pool().Exec(ctx, "select 'in no span'"); err != nil {
			t.Fatal(err)
		}
		l.Release()
	}
	if _, err := r.Acquire(ctx, "ghost"); err == nil {
		t.Fatal("a ghost")
	}
	request.End()
	var names []string
	for _, s := range exporter.GetSpans() {
		names = append(names, s.Name)
		if s.Name == "request" {
			continue
		}
		id := attribute.NewSet(s.Attributes...)
		tenant, _ := id.Value("tenant.id")
		server, hasServer := id.Value("pgtenancy.server")
		failed := s.Status.Description != ""
		if child := s.Parent.SpanID() == request.SpanContext().SpanID(); child == (s.Name == "tenancy.lookup") {
			t.Errorf("%s: child of the request: %v", s.Name, child)
		}
		if failed != (tenant.AsString() == "ghost") || !failed && tenant.AsString() != "acme" ||
			hasServer != (s.Name == "tenancy.dial") || hasServer && server.AsString() != "one" ||
			!s.EndTime.After(s.StartTime) {
			t.Errorf("%s: tenant %q, server %q, %q", s.Name, tenant.AsString(), server.AsString(), s.Status.Description)
		}
	}
	slices.Sort(names)
	const want = "request tenancy.acquire tenancy.acquire tenancy.dial tenancy.lookup tenancy.lookup"
	if got := strings.Join(names, " "); got != want || next != 2 {
		t.Errorf("spans %q, want %q; %d calls of the next observer", got, want, next)
	}
}

// registryStat and provisionerStat stand for a registry and a provisioner that have done nothing yet.
type registryStat struct{}

func (registryStat) FollowStat() registry.FollowStat { return registry.FollowStat{} }

type provisionerStat struct{}

func (provisionerStat) Stat() *provision.Stat { return &provision.Stat{} }

func TestReaderCollectsEveryFigure(t *testing.T) {
	t.Parallel()
	if _, err := tenancyotel.NewProducer(tenancyotel.Config{}); err == nil {
		t.Error("a producer of nothing")
	}
	r := newResolver(t, tenancy.Observer{})
	ping := func(ctx context.Context, pool *pgxpool.Pool) error { return pool.Ping(ctx) }
	err := r.AcquireFunc(t.Context(), "acme", ping)
	if err != nil {
		t.Fatal(err)
	}
	producer, err := tenancyotel.NewProducer(tenancyotel.Config{
		Resolver: r, Registry: registryStat{}, Provisioner: provisionerStat{},
	})
	if err != nil {
		t.Fatal(err)
	}
	reader := metric.NewManualReader(metric.WithProducer(producer))
	provider := metric.NewMeterProvider(metric.WithReader(reader))
	defer func() { _ = provider.Shutdown(context.WithoutCancel(t.Context())) }()
	var collected metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &collected); err != nil {
		t.Fatal(err)
	}
	got := map[string]metricdata.Metrics{}
	for _, s := range collected.ScopeMetrics {
		for _, m := range s.Metrics {
			if _, twice := got[m.Name]; twice {
				t.Errorf("%s: twice", m.Name)
			}
			got[m.Name] = m
		}
	}
	for f := range r.Stat().Figures() {
		name := "pgtenancy.resolver." + strings.TrimSuffix(strings.TrimSuffix(f.Name, "_total"), "_seconds")
		if got[name].Data == nil {
			t.Errorf("%s is not collected", name)
		}
	}
	misses, _ := got["pgtenancy.resolver.misses"].Data.(metricdata.Sum[float64])
	if len(misses.DataPoints) != 1 || misses.DataPoints[0].Value != 1 || !misses.IsMonotonic {
		t.Errorf("misses: %+v", misses)
	}
	evictions, _ := got["pgtenancy.resolver.evictions"].Data.(metricdata.Sum[float64])
	if len(evictions.DataPoints) != 5 {
		t.Errorf("%d causes", len(evictions.DataPoints))
	}
	dials, _ := got["pgtenancy.resolver.server_dial"].Data.(metricdata.Histogram[float64])
	if len(dials.DataPoints) != 1 {
		t.Fatalf("dials: %+v", dials)
	}
	p, inBuckets := dials.DataPoints[0], uint64(0)
	for _, n := range p.BucketCounts {
		inBuckets += n
	}
	if p.Count != 1 || inBuckets != 1 || p.Sum <= 0 || len(p.Bounds) != 17 || len(p.BucketCounts) != 18 {
		t.Errorf("dials: %+v", p)
	}
	if got["pgtenancy.follow.lag"].Data == nil {
		t.Error("no lag")
	}
}
