package provision_test

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/registry"
)

// cluster is a PostgreSQL server of one test's own, for what would disturb the others: it crashes, a process of it is
// stopped, or a lock on a catalogue that all its databases share is held.
type cluster struct{ *pgtest.Cluster }

// newCluster starts one. It can crash and start again if it is kept, which costs some seconds more.
//
// A crash of its processes loses what is in their memory, and nothing that the kernel has: so commits are written out,
// but need not be synced. It has PostgreSQL's own number of buffers.
func newCluster(t *testing.T, kept bool) *cluster {
	t.Helper()
	return &cluster{pgtest.NewCluster(t, pgtest.ClusterConfig{Kept: kept, Settings: map[string]string{
		"synchronous_commit": "on", "full_page_writes": "on", "fsync": "off", "max_connections": "100", "shared_buffers": "128MB",
	}})}
}

// fixture is one whose registry and tenants are all on the cluster.
func (c *cluster) fixture(t *testing.T) *fixture {
	t.Helper()
	must(t, execute(t.Context(), c.Admin(), "CREATE DATABASE registry TEMPLATE template0"))
	regCfg, err := pgxpool.ParseConfig("")
	must(t, err)
	regCfg.ConnConfig = c.Admin()
	regCfg.ConnConfig.Database = "registry"
	must(t, registry.Migrate(t.Context(), poolOf(t, regCfg)))
	return newFixtureOn(t, c.Admin(), regCfg)
}

// crash ends the server at once, and starts it again.
func (c *cluster) crash(context.Context) error { return c.Crash() }

// kill kills one of the backends of w's connections, or another if there is none, as the kernel does when it is out of
// memory: the postmaster ends all the others, and recovers.
func (c *cluster) kill(ctx context.Context, w *wires) error {
	ctx = context.WithoutCancel(ctx)
	conn, err := pgx.ConnectConfig(ctx, c.Admin())
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var pid int
	err = conn.QueryRow(ctx, `SELECT pid FROM pg_stat_activity
		WHERE client_port = ANY($1) OR pid = pg_backend_pid() ORDER BY pid = pg_backend_pid(), backend_start DESC LIMIT 1`,
		w.ports()).Scan(&pid)
	if err == nil {
		err = syscall.Kill(pid, syscall.SIGKILL)
	}
	for err == nil && !conn.IsClosed() {
		_, _ = conn.Exec(ctx, "SELECT 1")
	}
	return errors.Join(err, c.ready(ctx))
}

// ready waits until the server answers.
func (c *cluster) ready(ctx context.Context) error {
	retry := time.NewTicker(10 * time.Millisecond)
	defer retry.Stop()
	for deadline := time.Now().Add(time.Minute); ; {
		err := execute(ctx, c.Admin(), "SELECT 1")
		if err == nil || time.Now().After(deadline) {
			return err
		}
		<-retry.C
	}
}

// orphans counts the directories of databases that no catalogue knows: PostgreSQL leaves them when it crashes in CREATE
// DATABASE, and nothing ever removes them.
func (c *cluster) orphans(t *testing.T, f *fixture) string {
	t.Helper()
	return f.list(t, c.Admin(), `SELECT count(*)::text FROM pg_ls_dir('base') d
		WHERE d ~ '^[0-9]+$' AND d NOT IN (SELECT oid::text FROM pg_database)`)
}
