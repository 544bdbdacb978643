package tenancytest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/devpg"
	"github.com/pgtenancy/pgtenancy/internal/pgerr"
)

const (
	// urlVariable names the server to use.
	urlVariable = "TENANCYTEST_DATABASE_URL"

	// tenantRole is the role that all tenants of fleets act as.
	tenantRole = "ttest_tenant"

	// patience bounds one operation on the server.
	patience = time.Minute
)

// process has the server of this test binary: package testing gives tests no other way to share one.
var process struct { //nolint:gochecknoglobals // see above
	mu      sync.Mutex // guards current
	current *server
}

// server is the PostgreSQL server that all fleets of a process use. Its fields are set once, by start.
type server struct {
	started sync.Once
	err     error
	pg      *devpg.Server
	given   bool          // by the environment: other processes use it too
	run     string        // "ttest_" and eight hex digits: names begin with it, and sessions have it
	admin   *pgxpool.Pool // in the maintenance database
	names   atomic.Int64

	mu        sync.Mutex           // guards templates
	templates map[string]*template // by key
}

// Stop ends the server that the tests of this process used, and waits until it has ended. The server ends without it
// when the process does; call it at the end of TestMain where goroutines that are left over count as a failure. A later
// New starts another server.
func Stop() error {
	process.mu.Lock()
	s := process.current
	process.current = nil
	process.mu.Unlock()
	if s == nil {
		return nil
	}
	s.started.Do(func() { s.err = errors.New("tenancytest: stopped") }) // or waits until it has started
	if s.admin != nil {
		s.admin.Close()
	}
	if s.pg == nil {
		return nil
	}
	return s.pg.Stop()
}

// theServer returns the server of the process, which it starts the first time.
func theServer(tb testing.TB) *server {
	tb.Helper()
	process.mu.Lock()
	if process.current == nil {
		process.current = new(server)
	}
	s := process.current
	process.mu.Unlock()
	s.started.Do(func() {
		s.err = errors.New("tenancytest: the test that started PostgreSQL ended early")
		s.err = s.start(context.WithoutCancel(tb.Context()))
	})
	if s.err != nil {
		tb.Fatal(s.err)
	}
	return s
}

func (s *server) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*patience) // it may fetch a PostgreSQL
	defer cancel()
	url := os.Getenv(urlVariable)
	config := devpg.Config{URL: url, Own: url == ""}
	if config.Own {
		config.Settings = map[string]string{"max_connections": "300"} // for tests in parallel, with pools of their own
	}
	var err error
	if s.pg, err = devpg.Start(ctx, config); err != nil {
		return fmt.Errorf("tenancytest: %w", err)
	}
	s.given = !s.pg.Started()
	s.templates = make(map[string]*template)
	id := make([]byte, 4)
	_, _ = rand.Read(id) // never fails
	s.run = "ttest_" + hex.EncodeToString(id)
	base, err := s.poolConfig("")
	if err != nil {
		return err
	}
	// One stays open as long as the process lives: other processes see by it that this one does.
	base.MinConns, base.MaxConns = 1, 8
	if s.admin, err = pgxpool.NewWithConfig(context.WithoutCancel(ctx), base); err != nil {
		return fmt.Errorf("tenancytest: %w", pgerr.Redact(err))
	}
	if err := s.makeRole(ctx); err != nil {
		return fmt.Errorf("tenancytest: make role %s: %w", tenantRole, pgerr.Redact(err))
	}
	if s.given {
		if err := s.sweepOthers(ctx); err != nil {
			return fmt.Errorf("tenancytest: drop what earlier runs left: %w", pgerr.Redact(err))
		}
	}
	return nil
}

// makeRole makes the tenants' role, unless another process did.
func (s *server) makeRole(ctx context.Context) error {
	_, err := s.admin.Exec(ctx, "CREATE ROLE "+tenantRole+" NOLOGIN")
	if err != nil && !pgerr.IsState(err, pgerr.DuplicateObject, pgerr.UniqueViolation) {
		return err
	}
	// A superuser acts as any role; others have to be members.
	_, err = s.admin.Exec(ctx, `DO $$ BEGIN
		IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN GRANT `+tenantRole+` TO CURRENT_USER; END IF;
	END $$`)
	return err
}

// connConfig returns an administrator's configuration for a database; empty: the maintenance database.
func (s *server) connConfig(database string) *pgx.ConnConfig {
	config := s.pg.Config()
	if database != "" {
		config.Database = database
	}
	config.RuntimeParams["application_name"] = s.run
	return config
}

// poolConfig is connConfig for a pool.
func (s *server) poolConfig(database string) (*pgxpool.Config, error) {
	// What of the environment could make this fail is overruled.
	config, err := pgxpool.ParseConfig("host=127.0.0.1 sslmode=disable target_session_attrs=any connect_timeout=10")
	if err != nil {
		return nil, errors.New("tenancytest: the PG* variables of the environment do not make a configuration")
	}
	config.ConnConfig = s.connConfig(database)
	return config, nil
}

// newName returns the name of a database of this run.
func (s *server) newName() string { return fmt.Sprintf("%s_%d", s.run, s.names.Add(1)) }

func (s *server) exec(ctx context.Context, sql string) error {
	_, err := s.admin.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol)
	return err
}

// drop drops a database, and ends the sessions in it.
func (s *server) drop(ctx context.Context, database string) error {
	return s.exec(ctx, "DROP DATABASE IF EXISTS "+quote(database)+" WITH (FORCE)")
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }

// bounded returns a context that outlives the test's own, for what its cleanups do, and the function that ends it.
func bounded(tb testing.TB) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(tb.Context()), patience)
}
