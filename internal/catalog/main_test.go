package catalog_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/registry/keyring"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// fixture is a migrated registry with one server, "s1".
type fixture struct {
	*registry.Registry
	*catalog.Catalog
	pool *pgxpool.Pool
}

func newFixture(t testing.TB, configure ...func(*pgxpool.Config, *registry.Config)) *fixture {
	t.Helper()
	cfg := registry.Config{Keyring: newKeyring(t, 1)}
	poolCfg := pgtest.Migrated(t, registry.Migrate)
	poolCfg.MaxConns = 16
	for _, f := range configure {
		f(poolCfg, &cfg)
	}
	cfg.Pool = newPool(t, poolCfg)
	reg := newRegistry(t, cfg)
	f := &fixture{Registry: reg, Catalog: catalog.Of(reg), pool: cfg.Pool}
	must(t, f.PutServer(t.Context(), registry.Server{Name: "s1", Host: "db1.internal", Port: 5432}))
	return f
}

func newPool(t testing.TB, cfg *pgxpool.Config) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.NewWithConfig(context.WithoutCancel(t.Context()), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func newRegistry(t testing.TB, cfg registry.Config) *registry.Registry {
	t.Helper()
	r, err := registry.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func catalogOf(reg *registry.Registry) *catalog.Catalog { return catalog.Of(reg) }

// serializable makes every transaction of a fixture serializable, as CockroachDB's are.
func serializable(pool *pgxpool.Config, _ *registry.Config) {
	pool.ConnConfig.RuntimeParams["default_transaction_isolation"] = "serializable"
}

func key(id int16) keyring.Key {
	secret := bytes.Repeat([]byte{byte(id)}, 31)
	return keyring.Key{ID: id, Secret: append(secret, 0xff)}
}

// newKeyring makes a ring of index keys, the first current, and one key for sealing.
func newKeyring(t testing.TB, index ...int16) *keyring.Keyring {
	t.Helper()
	cfg := keyring.Config{Seal: []keyring.Key{key(100)}}
	for _, id := range index {
		cfg.Index = append(cfg.Index, key(id))
	}
	ring, err := keyring.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func email(t testing.TB, s string) registry.Email {
	t.Helper()
	e, err := registry.ParseEmail(s)
	if err != nil {
		t.Fatalf("ParseEmail(%q): %v", s, err)
	}
	return e
}

// reservation is one of a tenant "name" whose admin is name@example.com.
func reservation(t testing.TB, name string) catalog.Reservation {
	t.Helper()
	return catalog.Reservation{
		ID: tenancy.ID(name), Database: "tenant_" + name, Role: "tenant_" + name,
		Password: tenancy.NewSecret("db password of " + name), SchemaHash: "hash",
		Organization: registry.Organization{Name: "Org " + name, Email: email(t, "office@"+name+".example")},
		Admin: registry.Admin{
			ID: "admin-" + name, Email: email(t, name+"@example.com"), PasswordHash: "$argon2id$" + name,
		},
		Data:  []byte("data of " + name),
		Owner: "owner", TTL: time.Minute,
	}
}

func (f *fixture) reserve(t testing.TB, name string) *catalog.Claim {
	t.Helper()
	c, err := f.Reserve(t.Context(), reservation(t, name))
	if err != nil {
		t.Fatalf("Reserve(%q): %v", name, err)
	}
	return c
}

// active makes an active tenant.
func (f *fixture) active(t testing.TB, name string) tenancy.ID {
	t.Helper()
	c := f.reserve(t, name)
	must(t, f.Activate(t.Context(), c))
	return c.Tenant.ID
}

func (f *fixture) exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	if _, err := f.pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

// expire makes a tenant's claim expire now.
func (f *fixture) expire(t testing.TB, id tenancy.ID) {
	t.Helper()
	f.exec(t, `UPDATE pgtenancy.tenants SET claim_expires = now() - interval '1 second' WHERE id = $1`, id)
}

func (f *fixture) count(t testing.TB, from string, args ...any) int {
	t.Helper()
	var n int
	if err := f.pool.QueryRow(t.Context(), "SELECT count(*) FROM "+from, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func (f *fixture) lookup(t testing.TB, id tenancy.ID) tenancy.Tenant {
	t.Helper()
	tenant, err := f.Lookup(t.Context(), id)
	if err != nil {
		t.Fatalf("Lookup(%q): %v", id, err)
	}
	return tenant
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// concurrently runs f n times at once and returns the errors in the order of i.
func concurrently(n int, f func(i int) error) []error {
	errs := make([]error, n)
	start := make(chan struct{})
	done := make(chan struct{})
	for i := range n {
		go func() {
			<-start
			errs[i] = f(i)
			done <- struct{}{}
		}()
	}
	close(start)
	for range n {
		<-done
	}
	return errs
}

func name(format string, args ...any) string { return fmt.Sprintf(format, args...) }

// dump returns what pg_dump prints of the registry.
func (f *fixture) dump(t *testing.T) []byte { return pgtest.Dump(t, f.pool) }
