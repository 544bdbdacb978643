package pgtest

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"

	"github.com/pgtenancy/pgtenancy/internal/devpg"
)

// server is what Main, Admin and Database share: testing gives a package one TestMain and no way to hand anything from
// it to the tests.
var server suite //nolint:gochecknoglobals // see above

// suite is the server of one test process.
type suite struct {
	start     sync.Once
	pg        *devpg.Server
	err       error
	databases atomic.Int64
	migrated  template
}

// template is the database of which Migrated makes copies.
type template struct {
	build sync.Once
	name  string
	err   error
}

// Main runs the tests of a package that need PostgreSQL, stops the server and exits. It exits with an error if a test
// failed, if the server could not be stopped, or if goroutines are left over. Call it from TestMain. A goroutine that
// has one of the functions never ends, by no fault of ours, and does not count.
func Main(m *testing.M, endless ...string) {
	code := m.Run()
	err := server.stop()
	if code == 0 {
		code = verdict(errors.Join(err, leaks(endless...)))
	}
	os.Exit(code)
}

// Leaks is Main for packages without PostgreSQL.
func Leaks(m *testing.M) {
	code := m.Run()
	if code == 0 {
		code = verdict(leaks())
	}
	os.Exit(code)
}

// Admin returns the configuration of a superuser's connection to the database "postgres" of the server, starting the
// server if this is the first call. Each call returns a copy of its own.
func Admin(tb testing.TB) *pgx.ConnConfig {
	tb.Helper()
	server.start.Do(func() {
		// More connections than PostgreSQL's 100, for tests with many pools; logical WAL, for tests that replicate.
		settings := map[string]string{"max_connections": "300", "wal_level": "logical"}
		server.pg, server.err = devpg.Start(context.WithoutCancel(tb.Context()), devpg.Config{Settings: settings})
	})
	if server.err != nil {
		tb.Fatal(server.err)
	}
	config := server.pg.Config()
	config.DefaultQueryExecMode = cmp.Or(ExecMode(tb), config.DefaultQueryExecMode)
	return config
}

// Database makes an empty database and returns a superuser's pool configuration for it. At the end of the test the
// database is dropped, and connections that are still open are cut.
func Database(tb testing.TB) *pgxpool.Config {
	tb.Helper()
	// template0 allows no connections, so that it is empty and no session is in the way
	return copyOf(tb, Admin(tb), "template0")
}

// Migrated is Database with the tables that migrate makes. It runs only the first migrate of the test process and
// copies the result: the registry's migrations take half a second of the processor under the race detector.
func Migrated(tb testing.TB, migrate func(context.Context, *pgxpool.Pool) error) *pgxpool.Config {
	tb.Helper()
	admin, m := Admin(tb), &server.migrated
	m.build.Do(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), Patience)
		defer cancel()
		m.name, m.err = newName(), errors.New("pgtest: the test that built the template ended early")
		if m.err = create(ctx, admin, m.name, "template0"); m.err != nil {
			return
		}
		var pool *pgxpool.Pool
		if pool, m.err = pgxpool.NewWithConfig(ctx, configOf(tb, admin, m.name)); m.err != nil {
			return
		}
		defer pool.Close()
		m.err = migrate(ctx, pool)
	})
	if m.err != nil {
		tb.Fatalf("pgtest: migrate: %v", m.err)
	}
	config := copyOf(tb, admin, m.name)
	name := pgx.Identifier{config.ConnConfig.Database}.Sanitize()
	closed := "REVOKE CONNECT, TEMPORARY ON DATABASE " + name + " FROM PUBLIC" // as migrate does; a copy has no privileges
	if err := execute(tb.Context(), admin, closed); err != nil {
		tb.Fatalf("pgtest: close database: %v", err)
	}
	return config
}

func copyOf(tb testing.TB, admin *pgx.ConnConfig, template string) *pgxpool.Config {
	tb.Helper()
	name := newName()
	if err := create(tb.Context(), admin, name, template); err != nil {
		tb.Fatalf("pgtest: create database: %v", err)
	}
	tb.Cleanup(func() {
		if err := drop(context.WithoutCancel(tb.Context()), admin, name); err != nil {
			tb.Errorf("pgtest: drop database: %v", err)
		}
	})
	return configOf(tb, admin, name)
}

func configOf(tb testing.TB, admin *pgx.ConnConfig, database string) *pgxpool.Config {
	tb.Helper()
	config, err := pgxpool.ParseConfig("")
	if err != nil {
		tb.Fatalf("pgtest: %v", err)
	}
	config.ConnConfig = admin.Copy()
	config.ConnConfig.Database = database
	return config
}

func newName() string {
	return fmt.Sprintf("pgtest_%s_%d", strings.ToLower(rand.Text()[:10]), server.databases.Add(1))
}

func create(ctx context.Context, admin *pgx.ConnConfig, name, template string) error {
	return execute(ctx, admin,
		"CREATE DATABASE "+pgx.Identifier{name}.Sanitize()+" TEMPLATE "+pgx.Identifier{template}.Sanitize())
}

func drop(ctx context.Context, admin *pgx.ConnConfig, name string) error {
	return execute(ctx, admin, "DROP DATABASE IF EXISTS "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)")
}

// Pooler starts a PgBouncer in transaction mode in front of the server, which takes every role and database, and
// returns the superuser's configuration through it. It is stopped at the end of the test. Without a PgBouncer, it is as
// Missing says.
func Pooler(tb testing.TB) *pgx.ConnConfig {
	tb.Helper()
	p, err := devpg.StartPooler(context.WithoutCancel(tb.Context()), Admin(tb))
	if errors.Is(err, devpg.ErrNoPooler) {
		Missing(tb, err.Error())
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := p.Stop(); err != nil {
			tb.Errorf("pgtest: stop pooler: %v", err)
		}
	})
	return p.Config()
}

// Program returns the path of one of PostgreSQL's programs: the first in PATH, or that of the server.
func Program(tb testing.TB, name string) string {
	tb.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	dir, err := devpg.Binaries(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return filepath.Join(dir, name)
}

func (s *suite) stop() error {
	if s.pg == nil {
		return nil
	}
	var err error
	if s.migrated.name != "" && !s.pg.Started() {
		err = drop(context.Background(), s.pg.Config(), s.migrated.name)
	}
	return errors.Join(err, s.pg.Stop())
}

// execute runs one statement on a connection of its own. ctx and a bound of a minute govern it.
func execute(ctx context.Context, config *pgx.ConnConfig, sql string) error {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, sql)
	return errors.Join(err, conn.Close(ctx))
}

// leaks looks for goroutines that outlive the tests. A pool that was closed has goroutines that only end with their
// next half second's sleep, so it looks for five.
func leaks(endless ...string) error {
	options := make([]goleak.Option, len(endless))
	for i, function := range endless {
		options[i] = goleak.IgnoreAnyFunction(function)
	}
	deadline := time.Now().Add(5 * time.Second)
	for {
		err := goleak.Find(options...)
		if err == nil || time.Now().After(deadline) {
			return err
		}
	}
}

func verdict(err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "pgtest:", err)
	return 1
}
