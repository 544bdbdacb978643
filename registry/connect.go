package registry

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
)

const (
	connectTimeout = 10 * time.Second
	closeTimeout   = time.Second
)

// connect opens a connection outside the pool, with the pool's settings, for a session that is kept: a pooled one
// would be missing in the pool, and might be closed for its age. Its search_path is pg_catalog, so that no object of
// another schema is taken for PostgreSQL's own.
func connect(ctx context.Context, pool *pgxpool.Pool) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	pooled := pool.Config()
	cfg := pooled.ConnConfig.Copy()
	cfg.OnNotification = nil // pgx keeps notifications for WaitForNotification only without one
	if pooled.BeforeConnect != nil {
		if err := pooled.BeforeConnect(ctx, cfg); err != nil {
			return nil, err
		}
	}
	pinned := cfg.Copy()
	pinned.RuntimeParams["search_path"] = "pg_catalog"
	conn, err := pgx.ConnectConfig(ctx, pinned)
	if pgerr.IsState(err, pgerr.ProtocolViolation) {
		return pgx.ConnectConfig(ctx, cfg) // PgBouncer refuses settings that it does not know
	}
	return conn, err
}

// hangUp closes a connection that connect made, even if ctx has ended.
func hangUp(ctx context.Context, conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	_ = conn.Close(ctx)
}
