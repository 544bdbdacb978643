package tenancyprom_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/observe/prometheus"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

func TestScrapeHasEveryFigureAndTheFilesNameNoOther(t *testing.T) {
	worst := tenancyprom.NewWorst(1)
	s := newSystem(t, worst.Observe(tenancy.Observer{}), "acme", "globex")
	ctx, stop := context.WithCancel(t.Context())
	followed := make(chan error, 1)
	go func() { followed <- s.reg.Follow(ctx, s.resolver) }()
	defer func() {
		stop()
		<-followed //nolint:errcheck // the context's
	}()
	pgtest.Eventually(t, "it follows", func() bool { return s.reg.FollowStat().Running() == 1 })
	for _, id := range []tenancy.ID{"acme", "acme", "globex"} {
		l, err := s.resolver.Acquire(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Pool().Ping(t.Context()); err != nil {
			t.Error(err)
		}
		l.Release()
	}
	cfg := tenancyprom.Config{Resolver: s.resolver, Provisioner: s.provisioner, Registry: s.reg}
	plain := scrape(t, cfg)
	for name, family := range plain {
		for _, m := range family.GetMetric() {
			if text := m.String(); strings.Contains(text, "acme") || strings.Contains(text, "globex") {
				t.Errorf("%s names a tenant: %s", name, text)
			}
		}
	}
	for f := range s.resolver.Stat().Figures() {
		if plain["pgtenancy_resolver_"+f.Name] == nil {
			t.Errorf("the scrape has no %s", f.Name)
		}
	}
	value := func(name string) float64 {
		m := plain[name].GetMetric()[0]
		return m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
	}
	for name, want := range map[string]float64{
		"pgtenancy_resolver_hits_total": 1, "pgtenancy_resolver_misses_total": 2, "pgtenancy_resolver_lookup_seconds": 2,
		"pgtenancy_resolver_acquire_wait_seconds": 2, "pgtenancy_resolver_server_dial_seconds": 2,
		"pgtenancy_resolver_server_open_connections": 2, "pgtenancy_follow_running": 1,
	} {
		if got := value(name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	h := plain["pgtenancy_resolver_lookup_seconds"].GetMetric()[0].GetHistogram()
	if n := len(h.GetBucket()); n < 17 || h.GetBucket()[0].GetUpperBound() != 0.00025 || h.GetSampleSum() <= 0 {
		t.Errorf("%d buckets from %v, sum %v", n, h.GetBucket()[0].GetUpperBound(), h.GetSampleSum())
	}
	cfg.WorstTenants = worst
	all := scrape(t, cfg)
	if n := len(all["pgtenancy_tenant_wait_seconds"].GetMetric()); n != 1 {
		t.Errorf("%d worst tenants, want 1", n)
	}
	if again := scrape(t, cfg); again["pgtenancy_tenant_wait_seconds"] != nil {
		t.Error("the worst tenants are still there when none waited")
	}
	for file, names := range namedMetrics(t) {
		if len(names) < 8 {
			t.Errorf("%s names %d metrics", file, len(names))
		}
		for _, name := range names {
			if all[name] == nil && all[strings.TrimSuffix(name, "_bucket")] == nil {
				t.Errorf("%s names %s, which no scrape has", file, name)
			}
		}
	}
}

// namedMetrics returns the metrics in the expressions of the dashboard and of the alerts.
func namedMetrics(t *testing.T) map[string][]string {
	t.Helper()
	read := func(file string) []byte {
		t.Helper()
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	var dashboard struct {
		Panels []struct {
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(read("dashboard.json"), &dashboard); err != nil {
		t.Fatal(err)
	}
	var alerts struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}
	if err := yaml.Unmarshal(read("alerts.yaml"), &alerts); err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`pgtenancy_[a-z_]+`)
	found := make(map[string][]string)
	add := func(file, expr string) {
		of := names.FindAllString(expr, -1)
		if len(of) == 0 {
			t.Errorf("%s: no metric in %q", file, expr)
		}
		found[file] = append(found[file], of...)
	}
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			add("dashboard.json", target.Expr)
		}
	}
	for _, g := range alerts.Groups {
		for _, rule := range g.Rules {
			add("alerts.yaml", rule.Expr)
		}
	}
	return found
}

func TestNewWantsSomethingToExport(t *testing.T) {
	t.Parallel()
	if _, err := tenancyprom.New(tenancyprom.Config{}); err == nil {
		t.Error("no error")
	}
}

// The observer that was there before is still called, and what it is called with is not lost.
func TestWorstCallsTheNextObserver(t *testing.T) {
	t.Parallel()
	var calls []string
	o := tenancyprom.NewWorst(3).Observe(tenancy.Observer{
		AcquireWaited: func(_ context.Context, id tenancy.ID, _ time.Duration, _ error) {
			calls = append(calls, fmt.Sprint("acquire ", id))
		},
		Dialled: func(_ context.Context, id tenancy.ID, server string, _ time.Duration, _ error) {
			calls = append(calls, fmt.Sprint("dial ", id, " ", server))
		},
	})
	o.AcquireWaited(t.Context(), "acme", time.Second, nil)
	o.Dialled(t.Context(), "acme", "one", time.Second, nil)
	if got := strings.Join(calls, ", "); got != "acquire acme, dial acme one" {
		t.Errorf("calls: %s", got)
	}
}
