package provision

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
)

// connectTimeout bounds log-in, so that a server that answers nothing does not hold up the work for others.
const connectTimeout = 10 * time.Second

func connect(ctx context.Context, cfg *pgx.ConnConfig) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	return pgx.ConnectConfig(ctx, cfg)
}

// disconnect closes conn, and waits for what pgx still does in the background after a query was cancelled.
func disconnect(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
	defer cancel()
	_ = conn.Close(ctx)
	select {
	case <-conn.PgConn().CleanupDone():
	case <-ctx.Done():
	}
}

// run executes statements in one round trip. Unless one of them forbids it, they are one transaction.
func run(ctx context.Context, conn *pgx.Conn, sql string) error {
	_, err := conn.PgConn().Exec(ctx, sql).ReadAll()
	return err
}

// runIn is run on a connection of its own.
func runIn(ctx context.Context, cfg *pgx.ConnConfig, sql string) error {
	conn, err := connect(ctx, cfg)
	if err != nil {
		return err
	}
	defer disconnect(conn)
	return run(ctx, conn, sql)
}

// pinned is cfg for a session that finds nothing but PostgreSQL's own functions and tables by their bare names. It is
// for databases in which others may create objects, of which a call could pick a better match.
func pinned(cfg *pgx.ConnConfig) *pgx.ConnConfig {
	cfg = cfg.Copy()
	cfg.RuntimeParams = maps.Clone(cfg.RuntimeParams)
	if cfg.RuntimeParams == nil {
		cfg.RuntimeParams = map[string]string{}
	}
	cfg.RuntimeParams["search_path"] = "pg_catalog, pg_temp"
	return cfg
}

// majorVersion is that of the server: 15 of "15.18 (Debian 15.18-0+deb12u1)", 18 of "18beta1".
func majorVersion(conn *pgx.Conn) (major int) {
	_, _ = fmt.Sscanf(conn.PgConn().ParameterStatus("server_version"), "%d", &major)
	return major
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }

// retryRaced runs f again, a few times, if another session changed the same catalogue row at the same moment.
func retryRaced(ctx context.Context, f func() error) error {
	for try := 1; ; try++ {
		err := f()
		if try == 5 || !pgerr.IsState(err, pgerr.InternalError) && !pgerr.IsState(err, pgerr.SerializationFailure) {
			return err
		}
		select {
		case <-time.After(time.Duration(try) * 20 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

// dropDatabase drops the database that look found; nobody can connect to it any more before its sessions are ended.
// The name may already be gone.
func dropDatabase(ctx context.Context, conn *pgx.Conn, name string, f found) error {
	if f.database && !f.broken {
		err := run(ctx, conn, "ALTER DATABASE "+quote(name)+" WITH ALLOW_CONNECTIONS false")
		if err != nil && !pgerr.IsState(err, pgerr.InvalidCatalogName) {
			return fmt.Errorf("close database: %w", pgerr.Redact(err))
		}
	}
	if err := run(ctx, conn, "DROP DATABASE IF EXISTS "+quote(name)+" WITH (FORCE)"); err != nil {
		return fmt.Errorf("drop database: %w", pgerr.Redact(err))
	}
	return nil
}
