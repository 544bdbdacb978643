package pgadmin

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
)

// ConnectTimeout bounds log-in, so that a server that answers nothing does not hold up the work for others.
const ConnectTimeout = 10 * time.Second

// closeTimeout bounds Disconnect.
const closeTimeout = 10 * time.Second

// Connect logs in within [ConnectTimeout]. The caller closes the connection with [Disconnect].
func Connect(ctx context.Context, cfg *pgx.ConnConfig) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, ConnectTimeout)
	defer cancel()
	return pgx.ConnectConfig(ctx, cfg)
}

// Disconnect closes conn, and waits for what pgx still does in the background after a query was cancelled.
func Disconnect(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_ = conn.Close(ctx)
	select {
	case <-conn.PgConn().CleanupDone():
	case <-ctx.Done():
	}
}

// Run executes statements in one round trip. Unless one of them forbids it, they are one transaction.
func Run(ctx context.Context, conn *pgx.Conn, sql string) error {
	_, err := conn.PgConn().Exec(ctx, sql).ReadAll()
	return err
}

// RunIn is Run on a connection of its own.
func RunIn(ctx context.Context, cfg *pgx.ConnConfig, sql string) error {
	conn, err := Connect(ctx, cfg)
	if err != nil {
		return err
	}
	defer Disconnect(conn)
	return Run(ctx, conn, sql)
}

// Pinned is cfg for a session that finds nothing but PostgreSQL's own functions and tables by their bare names. It is
// for databases in which others may create objects, of which a call could pick a better match.
func Pinned(cfg *pgx.ConnConfig) *pgx.ConnConfig {
	cfg = cfg.Copy()
	cfg.RuntimeParams = maps.Clone(cfg.RuntimeParams)
	if cfg.RuntimeParams == nil {
		cfg.RuntimeParams = map[string]string{}
	}
	cfg.RuntimeParams["search_path"] = "pg_catalog, pg_temp"
	return cfg
}

// MajorVersion is that of the server: 15 of "15.18 (Debian 15.18-0+deb12u1)", 18 of "18beta1".
func MajorVersion(conn *pgx.Conn) (major int) {
	_, _ = fmt.Sscanf(conn.PgConn().ParameterStatus("server_version"), "%d", &major)
	return major
}

// Quote returns name as an SQL identifier.
func Quote(name string) string { return pgx.Identifier{name}.Sanitize() }

// RetryRaced runs f again, a few times, if another session changed the same catalogue row at the same moment.
func RetryRaced(ctx context.Context, f func() error) error {
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

// DropDatabase drops a database, which may already be gone. With closeFirst it closes the database to new connections
// before it ends the sessions there; a database whose DROP was interrupted cannot be closed. An error names what
// failed, and is redacted.
func DropDatabase(ctx context.Context, conn *pgx.Conn, name string, closeFirst bool) error {
	if closeFirst {
		err := Run(ctx, conn, "ALTER DATABASE "+Quote(name)+" WITH ALLOW_CONNECTIONS false")
		if err != nil && !pgerr.IsState(err, pgerr.InvalidCatalogName) {
			return fmt.Errorf("close database: %w", pgerr.Redact(err))
		}
	}
	if err := Run(ctx, conn, "DROP DATABASE IF EXISTS "+Quote(name)+" WITH (FORCE)"); err != nil {
		return fmt.Errorf("drop database: %w", pgerr.Redact(err))
	}
	return nil
}
