package tenancyprom_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/observe/prometheus"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/registry/keyring"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// table is a schema of one table.
type table struct{}

func (table) Hash() string { return strings.Repeat("5", 32) }

func (table) Build(ctx context.Context, cfg *pgx.ConnConfig) error {
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.Exec(ctx, "CREATE TABLE members (id bigint)")
	return err
}

func (table) Upgrade(context.Context, provision.UpgradeInput) (*provision.Report, error) {
	return &provision.Report{}, nil
}

// system is a registry, a provisioner that made the tenants, and a resolver.
type system struct {
	reg         *registry.Registry
	provisioner *provision.Provisioner
	resolver    *tenancy.Resolver
}

func newSystem(t *testing.T, observer tenancy.Observer, ids ...tenancy.ID) *system {
	t.Helper()
	ctx, admin := t.Context(), pgtest.Admin(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	pool, err := pgxpool.NewWithConfig(ctx, pgtest.Migrated(t, registry.Migrate))
	must(err)
	t.Cleanup(pool.Close)
	key := func() []keyring.Key { return []keyring.Key{{ID: 1, Secret: []byte(rand.Text() + rand.Text())[:32]}} }
	keys, err := keyring.New(keyring.Config{Index: key(), Seal: key()})
	must(err)
	var s system
	s.reg, err = registry.New(registry.Config{Pool: pool, Keyring: keys})
	must(err)
	must(s.reg.PutServer(ctx, registry.Server{Name: "one", Host: admin.Host, Port: admin.Port}))
	s.provisioner, err = provision.New(provision.Config{
		Registry: s.reg, Admin: admin, Schema: table{}, Prefix: "m" + strings.ToLower(rand.Text()[:8]) + "_",
		Seed: func(context.Context, pgx.Tx, provision.Seed) error { return nil },
	})
	must(err)
	for _, id := range ids {
		email, err := registry.ParseEmail(string(id) + "@example.org")
		must(err)
		_, err = s.provisioner.Create(ctx, provision.Request{
			ID: id, Organization: registry.Organization{Name: "Parish", Email: email},
			Admin: registry.Admin{Email: email, PasswordHash: "hash"},
		})
		must(err)
		t.Cleanup(func() { _ = s.provisioner.Drop(context.WithoutCancel(ctx), id) })
	}
	base, err := pgxpool.ParseConfig(fmt.Sprintf("host=%s port=%d user=nobody sslmode=disable", admin.Host, admin.Port))
	must(err)
	s.resolver, err = tenancy.New(tenancy.Config{Directory: s.reg, Base: base, Fence: true, Observer: observer})
	must(err)
	t.Cleanup(func() { _ = s.resolver.Close(context.WithoutCancel(ctx)) })
	return &s
}

// scrape returns the families of one scrape over HTTP, by name.
func scrape(t *testing.T, cfg tenancyprom.Config) map[string]*dto.MetricFamily {
	t.Helper()
	collector, err := tenancyprom.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(collector)
	answer := httptest.NewRecorder()
	promhttp.HandlerFor(reg, promhttp.HandlerOpts{}).ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	if answer.Code != 200 {
		t.Fatalf("%d: %s", answer.Code, answer.Body)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return families
}
