package pgtest

import (
	"context"
	"maps"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/devpg"
)

// ClusterConfig says what a Cluster is like. The zero ClusterConfig is a server that cannot be started again.
type ClusterConfig struct {
	// Kept keeps the data when the server ends, so that Crash can start it again. It costs a second.
	Kept bool

	// Settings are further server settings.
	Settings map[string]string
}

// Cluster is a PostgreSQL server that one test has for itself, also where DATABASE_URL names another. It is for tests
// that hold, hurt or fill what all sessions of a server share: a lock on a shared catalogue, a stopped backend, a
// crash, a limit. Beside such a test, others on the same server fail or wait for ever.
type Cluster struct {
	server *devpg.Server
	config devpg.Config
	admin  *pgx.ConnConfig
}

// NewCluster starts one. The end of the test stops it.
func NewCluster(tb testing.TB, cfg ClusterConfig) *Cluster {
	tb.Helper()
	c := &Cluster{config: devpg.Config{Own: true, Settings: maps.Clone(cfg.Settings)}}
	if cfg.Kept {
		c.config.Dir = KeptDir(tb)
	}
	if err := c.start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := c.Stop(); err != nil {
			tb.Errorf("pgtest: stop cluster: %v", err)
		}
	})
	// Each start gives the superuser postgres a new password.
	if err := execute(tb.Context(), c.server.Config(), "CREATE ROLE boss SUPERUSER LOGIN PASSWORD 'pw'"); err != nil {
		tb.Fatalf("pgtest: create superuser: %v", err)
	}
	c.admin = c.server.Config()
	c.admin.User, c.admin.Password = "boss", "pw"
	return c
}

// Admin returns the configuration of a superuser's connection to the database "postgres". It stays good after Crash.
// Each call returns a copy of its own.
func (c *Cluster) Admin() *pgx.ConnConfig { return c.admin.Copy() }

// Dir is where a kept cluster is: its data are in the directory "data" there.
func (c *Cluster) Dir() string { return c.config.Dir }

// Stop ends the server, and waits until it has ended.
func (c *Cluster) Stop() error { return c.server.Stop() }

// Crash ends a kept server at once, as pg_ctl stop -m immediate does, and starts it again on the same port.
func (c *Cluster) Crash() error {
	if err := c.server.Crash(); err != nil {
		return err
	}
	c.config.Port = int(c.admin.Port)
	return c.start()
}

func (c *Cluster) start() (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c.server, err = devpg.Start(ctx, c.config)
	return err
}

// KeptDir makes a directory that the account of a server reaches even when the tests run as root. The end of the test
// removes it.
func KeptDir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("/tmp", "pgtest-") // the parent of tb.TempDir is closed to others
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
