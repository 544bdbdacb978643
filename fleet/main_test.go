package fleet_test

import (
	"context"
	"crypto/md5"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/fleet"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/registry/keyring"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// fixture is the configuration of fleets on an empty registry and the package's server. Every session of theirs has the
// prefix as its application_name, and the end of the test drops what has it in its name.
type fixture struct {
	config fleet.Config
	admin  *pgx.ConnConfig // of the test itself
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{admin: pgtest.Admin(t)}
	prefix := "f" + strings.ToLower(rand.Text()[:8]) + "_"
	reg, admin := pgtest.Database(t), pgtest.Database(t)
	admin.ConnConfig.Database = f.admin.Database
	for _, cfg := range []*pgxpool.Config{reg, admin} {
		cfg.ConnConfig.RuntimeParams["application_name"] = prefix
	}
	f.config = fleet.Config{
		RegistryConfig: reg, Keyring: newKeyring(t), Prefix: prefix,
		Servers: []fleet.Server{{AdminConfig: admin}}, Schema: schema("CREATE TABLE notes (text text)"),
	}
	t.Cleanup(func() { f.sweep(t) })
	return f
}

// open opens a fleet, which the test closes.
func (f *fixture) open(t *testing.T, edits ...func(*fleet.Config)) *fleet.Fleet {
	t.Helper()
	cfg := f.config
	for _, edit := range edits {
		edit(&cfg)
	}
	opened, err := fleet.Open(t.Context(), cfg)
	must(t, err)
	t.Cleanup(func() { _ = opened.Close(pgtest.Context(t)) })
	return opened
}

func (f *fixture) sweep(t *testing.T) {
	for _, db := range f.names(t, "SELECT datname::text FROM pg_database WHERE starts_with(datname, $1)") {
		name := pgx.Identifier{db}.Sanitize()
		f.exec(t, "ALTER DATABASE "+name+" IS_TEMPLATE false")
		f.exec(t, "DROP DATABASE "+name+" WITH (FORCE)")
	}
	for _, role := range f.names(t, "SELECT rolname::text FROM pg_roles WHERE starts_with(rolname, $1)") {
		f.exec(t, "DROP ROLE "+pgx.Identifier{role}.Sanitize())
	}
}

// sessions are the applications of the fleets' sessions: one for each.
func (f *fixture) sessions(t *testing.T) []string {
	return f.names(t, "SELECT application_name FROM pg_stat_activity WHERE application_name = $1")
}

// names queries the server; $1 is the prefix.
func (f *fixture) names(t *testing.T, sql string) (names []string) {
	t.Helper()
	err := in(f.admin, func(ctx context.Context, conn *pgx.Conn) error {
		rows, _ := conn.Query(ctx, sql, f.config.Prefix)
		var err error
		names, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	must(t, err)
	return names
}

func (f *fixture) exec(t *testing.T, sql string) {
	t.Helper()
	must(t, execute(f.admin, sql))
}

// routers counts the processes that take part in the budgets.
func (f *fixture) routers(t *testing.T) (n int) {
	t.Helper()
	must(t, in(f.config.RegistryConfig.ConnConfig, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "SELECT count(*) FROM pgtenancy.routers").Scan(&n)
	}))
	return n
}

func execute(cfg *pgx.ConnConfig, sql string) error {
	return in(cfg, func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol)
		return err
	})
}

// in calls use with a connection of its own; it has a minute.
func in(cfg *pgx.ConnConfig, use func(context.Context, *pgx.Conn) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), pgtest.Patience)
	defer cancel()
	cfg = cfg.Copy()
	delete(cfg.RuntimeParams, "application_name")
	cfg.Tracer, cfg.DialFunc = nil, (&net.Dialer{}).DialContext
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return err
	}
	return errors.Join(use(ctx, conn), conn.Close(ctx))
}

// schema is a provision.Schema of one SQL text, which no test upgrades.
type schema string

func (s schema) Hash() string {
	sum := md5.Sum([]byte(s))
	return hex.EncodeToString(sum[:])
}

func (s schema) Build(_ context.Context, cfg *pgx.ConnConfig) error { return execute(cfg, string(s)) }

func (schema) Upgrade(context.Context, provision.UpgradeInput) (*provision.Report, error) {
	return nil, errors.New("no upgrade is expected")
}

func newKeyring(t *testing.T) *keyring.Keyring {
	t.Helper()
	key := func() []keyring.Key {
		secret := make([]byte, 32)
		_, _ = rand.Read(secret)
		return []keyring.Key{{ID: 1, Secret: secret}}
	}
	ring, err := keyring.New(keyring.Config{Index: key(), Seal: key()})
	must(t, err)
	return ring
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
