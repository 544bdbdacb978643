// Most tests here begin with newFixture: a migrated registry and a prefix of its own on the server that the package's
// tests share. The end of the test drops all databases and roles under that prefix. Tests that hurt or stop what a
// whole server shares take newCluster(t, kept).fixture(t): a server of their own.
//
//	f.provisioner, f.create          makes a Provisioner of the fixture; makes a tenant with it
//	f.residue, f.active              lists what is there; lists what should be there for these active tenants
//	f.reconcile                      passes until the residue is as given
//	f.in, f.connect, f.list, f.exec  connect to a database; as a tenant; query it; change the registry
//	f.start, f.stop, f.command       run another process (child_test.go), which is killed or stopped at a failpoint
//	f.takeCensus                     checks that every tenant is whole or not there (census_test.go); answers is what
//	                                 the processes said that they made and dropped
//	f.whole                          describes a tenant that is complete: row, database, role, seed
//	f.survivor, f.rescuer            make the Provisioner that finishes the work of a process that was killed
//	f.watch                          returns a wake, which measures how long the work of killed processes stays undone
//	f.zombie                         stops a process at a failpoint, lets another finish, and lets the first go on
//	world, ledger                    side effects that count how often they ran: in memory; in a table of their own
//	wires                            the connections of a Provisioner, to cut them
//	trips                            counts round trips
//	f.intrude                        connects with a tenant's role, as an attacker

package provision_test

import (
	"context"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/registry/keyring"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

const members = `
CREATE TABLE members (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL);
CREATE TABLE admins (id text PRIMARY KEY, role text NOT NULL);
CREATE FUNCTION shout(t text) RETURNS text LANGUAGE sql AS 'SELECT upper(t)'`

// sqlSchema is a Schema that runs SQL.
type sqlSchema struct {
	build   string
	upgrade string
	built   atomic.Int64
}

func (s *sqlSchema) Hash() string {
	sum := md5.Sum([]byte(s.build))
	return hex.EncodeToString(sum[:])
}

func (s *sqlSchema) Build(ctx context.Context, cfg *pgx.ConnConfig) error {
	s.built.Add(1)
	return execute(ctx, cfg, s.build)
}

func (s *sqlSchema) Upgrade(ctx context.Context, u provision.UpgradeInput) (*provision.Report, error) {
	report := &provision.Report{Changes: []provision.Change{{Name: "upgrade", SQL: s.upgrade}}}
	if u.Policy.DryRun {
		return report, nil
	}
	conn, err := pgx.ConnectConfig(ctx, u.Target)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	report.Applied = true
	return report, pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, s.upgrade); err != nil {
			return err
		}
		return u.Verify(ctx, conn)
	})
}

// fixture is a registry, a server and the configuration of provisioners that share them under a prefix of their own.
type fixture struct {
	admin  *pgx.ConnConfig
	base   *pgx.ConnConfig // what resolvers start from
	regCfg *pgxpool.Config
	pool   *pgxpool.Pool // of the registry's database
	reg    *registry.Registry
	prefix string
	schema *sqlSchema

	session *pgx.Conn // on the maintenance database, for list: a log-in costs more than most queries
	using   sync.Mutex
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := newFixtureOn(t, pgtest.Admin(t), pgtest.Migrated(t, registry.Migrate))
	t.Cleanup(func() { f.sweep(t) })
	return f
}

// newFixtureOn is newFixture on a server that is thrown away, whose registry is migrated.
func newFixtureOn(t *testing.T, admin *pgx.ConnConfig, regCfg *pgxpool.Config) *fixture {
	t.Helper()
	f := &fixture{
		admin:  admin,
		base:   admin,
		regCfg: regCfg,
		prefix: "p" + strings.ToLower(rand.Text()[:8]) + "_",
		schema: &sqlSchema{build: members},
	}
	t.Cleanup(func() {
		if f.session != nil {
			_ = f.session.Close(context.WithoutCancel(t.Context()))
		}
	})
	f.pool = poolOf(t, f.regCfg)
	f.reg = openRegistryOn(t, f.pool)
	f.putServer(t, "one", f.admin.Host, f.admin.Port)
	return f
}

func (f *fixture) putServer(t *testing.T, name, host string, port uint16) {
	t.Helper()
	err := f.reg.PutServer(t.Context(), registry.Server{
		Name: name, Host: host, Port: port, Weight: 1, State: registry.ServerOpen,
	})
	if err != nil {
		t.Fatal(err)
	}
}

func poolOf(t *testing.T, cfg *pgxpool.Config) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.NewWithConfig(context.WithoutCancel(t.Context()), cfg.Copy())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func openRegistryOn(t *testing.T, pool *pgxpool.Pool, change ...func(*registry.Config)) *registry.Registry {
	t.Helper()
	key := func(name string) []keyring.Key { // the same in every process of a test
		secret := sha256.Sum256([]byte(name))
		return []keyring.Key{{ID: 1, Secret: secret[:]}}
	}
	keyring, err := keyring.New(keyring.Config{Index: key("index"), Seal: key("seal")})
	if err != nil {
		t.Fatal(err)
	}
	cfg := registry.Config{Pool: pool, Keyring: keyring}
	for _, c := range change {
		c(&cfg)
	}
	reg, err := registry.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return reg
}

// config is a working configuration with a seed.
func (f *fixture) config() provision.Config {
	return provision.Config{
		Registry: f.reg, Admin: f.admin, Schema: f.schema, Prefix: f.prefix, Seed: seedAdmin,
		ClaimTTL: 5 * time.Second, Interval: 50 * time.Millisecond,
	}
}

func seedAdmin(ctx context.Context, tx pgx.Tx, s provision.Seed) error {
	_, err := tx.Exec(ctx, "INSERT INTO admins VALUES ($1, $2) ON CONFLICT DO NOTHING", s.Admin.ID, s.Admin.Role)
	return err
}

func (f *fixture) provisioner(t *testing.T, change ...func(*provision.Config)) *provision.Provisioner {
	t.Helper()
	cfg := f.config()
	for _, c := range change {
		c(&cfg)
	}
	p, err := provision.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func request(t *testing.T, id, email string) provision.Request {
	t.Helper()
	e, err := registry.ParseEmail(email)
	if err != nil {
		t.Fatal(err)
	}
	return provision.Request{
		ID:           tenancy.ID(id),
		Organization: registry.Organization{Name: "Parish", Email: e},
		Admin:        registry.Admin{Email: e, PasswordHash: "hash", Role: "PRIMARY"},
	}
}

func (f *fixture) create(t *testing.T, p *provision.Provisioner, id string) *provision.Result {
	t.Helper()
	result, err := p.Create(t.Context(), request(t, id, "x"+id+"@example.org"))
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// connect logs in to database as the tenant's role.
func (f *fixture) connect(ctx context.Context, as tenancy.Tenant, database string) (*pgx.Conn, error) {
	cfg := f.admin.Copy()
	cfg.User, cfg.Password, cfg.Database = as.Endpoint.User, as.Endpoint.Password.Reveal(), database
	return pgx.ConnectConfig(ctx, cfg)
}

func (f *fixture) in(database string) *pgx.ConnConfig {
	cfg := f.admin.Copy()
	cfg.Database = database
	return cfg
}

// list returns the first column of a query, in one string. On the maintenance database it keeps its session.
func (f *fixture) list(t *testing.T, cfg *pgx.ConnConfig, sql string, args ...any) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), pgtest.Patience)
	defer cancel()
	if cfg == f.admin {
		f.using.Lock()
		defer f.using.Unlock()
		if f.session != nil {
			if got, err := column(ctx, f.session, sql, args...); err == nil {
				return got
			}
			_ = f.session.Close(ctx) // the test may have hurt the server meanwhile
		}
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if cfg == f.admin {
		f.session = conn
	} else {
		defer conn.Close(ctx)
	}
	got, err := column(ctx, conn, sql, args...)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func column(ctx context.Context, conn *pgx.Conn, sql string, args ...any) (string, error) {
	rows, _ := conn.Query(ctx, sql, args...)
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return strings.Join(got, " "), err
}

// residue names every database, role and row that is there, but for what all tenants share.
func (f *fixture) residue(t *testing.T) string {
	t.Helper()
	onServer := f.list(t, f.admin, `
		SELECT 'database:' || datname FROM pg_database
			WHERE starts_with(datname, $1) AND NOT starts_with(datname, $1 || '_template_')
		UNION ALL SELECT 'role:' || rolname FROM pg_roles
			WHERE starts_with(rolname, $1) AND NOT starts_with(rolname, $1 || '_')
		ORDER BY 1`, f.prefix)
	inRegistry := f.list(t, f.regCfg.ConnConfig, `
		SELECT 'tenant:' || id || ':' || state FROM pgtenancy.tenants
		UNION ALL SELECT 'email:' || tenant_id FROM pgtenancy.admin_email_index ORDER BY 1`)
	return strings.TrimSpace(onServer + " " + inRegistry)
}

// sweep drops what the fixture made on the server.
func (f *fixture) sweep(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), pgtest.Patience)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, f.admin)
	must(t, err)
	defer conn.Close(context.WithoutCancel(ctx))
	exec := func(sql string) {
		if _, err := conn.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol); err != nil {
			t.Errorf("sweep: %s: %v", sql, err)
		}
	}
	for _, db := range strings.Fields(f.list(t, f.admin,
		"SELECT datname::text FROM pg_database WHERE starts_with(datname, $1)", f.prefix)) {
		name := pgx.Identifier{db}.Sanitize()
		exec("ALTER DATABASE " + name + " IS_TEMPLATE false")
		exec("DROP DATABASE " + name + " WITH (FORCE)")
	}
	// An administrator's last: from version 16 on, memberships depend on the role that granted them.
	for _, role := range strings.Fields(f.list(t, f.admin,
		"SELECT rolname::text FROM pg_roles WHERE starts_with(rolname, $1) ORDER BY rolcreaterole", f.prefix)) {
		exec("DROP ROLE " + pgx.Identifier{role}.Sanitize())
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// execute runs statements on a connection of their own. ctx and a bound of a minute govern it.
func execute(ctx context.Context, cfg *pgx.ConnConfig, sql string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, pgtest.Patience, fmt.Errorf("not in a minute: %s", sql))
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return err
	}
	if _, err = conn.PgConn().Exec(ctx, sql).ReadAll(); err != nil {
		err = errors.Join(err, context.Cause(ctx))
	}
	return errors.Join(err, conn.Close(context.WithoutCancel(ctx)))
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	pgtest.Eventually(t, what, done)
}

// reconcile passes until the residue is want.
func (f *fixture) reconcile(t *testing.T, p *provision.Provisioner, want string) {
	t.Helper()
	var got string
	var retried map[tenancy.ID]error
	defer func() {
		if t.Failed() {
			t.Logf("residue %q, retried %v", got, retried)
		}
	}()
	eventually(t, fmt.Sprintf("residue %q", want), func() bool {
		pass, err := p.Reconcile(t.Context())
		must(t, err)
		retried = pass.Retried
		got = f.residue(t)
		return got == want
	})
}

// active is the residue of tenants that are active.
func (f *fixture) active(ids ...string) string {
	var databases, roles, emails, tenants []string
	for _, id := range ids {
		databases = append(databases, "database:"+f.prefix+id)
		roles = append(roles, "role:"+f.prefix+id)
		emails = append(emails, "email:"+id)
		tenants = append(tenants, "tenant:"+id+":active")
	}
	all := append(append(append(databases, roles...), emails...), tenants...)
	return strings.Join(all, " ")
}

func logTo(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
