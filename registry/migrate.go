package registry

import (
	"context"
	"embed"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/internal/regdb"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrationLock is the advisory lock of the one process that migrates: the first eight bytes of "pgtenancy".
const migrationLock int64 = 0x706774656e616e63

// Migrate brings the registry's database to the schema of this version of the package, in the PostgreSQL schema
// "pgtenancy", and does nothing if it is there already. Any number of processes may call it at once: they wait for
// one another. ctx governs all of it. pool must not lead through a pooler in transaction mode: the lock is a session's.
//
// If its role owns the database, or is a superuser, Migrate takes from PUBLIC what PostgreSQL gives everybody: to
// connect, to make temporary tables, and to create objects in the schema "public". The role itself keeps CONNECT; grant
// it to every other role that is to use the registry.
func Migrate(ctx context.Context, pool *pgxpool.Pool) error {
	return regdb.Redact("migrate", migrate(ctx, pool))
}

func migrate(ctx context.Context, pool *pgxpool.Pool) error {
	// goose has locks of its own, but makes its version table before it takes one, and holds one connection of the
	// pool while it waits for another.
	conn, err := connect(ctx, pool)
	if err != nil {
		return err
	}
	defer closeConn(ctx, conn) // which frees the lock
	if _, err := conn.Exec(ctx, `SELECT pg_catalog.pg_advisory_lock($1::bigint)`, migrationLock); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, `CREATE SCHEMA IF NOT EXISTS pgtenancy`); err != nil {
		return err
	}
	if err := revokePublic(ctx, conn); err != nil {
		return err
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	db := stdlib.OpenDBFromPool(pool)
	defer db.Close()
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files,
		goose.WithTableName("pgtenancy.goose_db_version"), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return err
}

// revokePublic takes from PUBLIC what it still has in the registry's database, as far as this role may.
func revokePublic(ctx context.Context, conn *pgx.Conn) error {
	var database string
	var connects, creates bool
	if err := conn.QueryRow(ctx, `SELECT d.datname,
			pg_has_role(d.datdba, 'USAGE') AND (has_database_privilege('public'::name, d.oid, 'CONNECT')
				OR has_database_privilege('public'::name, d.oid, 'TEMPORARY')),
			EXISTS (SELECT 1 FROM pg_namespace n WHERE n.nspname = 'public' AND pg_has_role(n.nspowner, 'USAGE')
				AND has_schema_privilege('public'::name, n.oid, 'CREATE'))
		FROM pg_database d WHERE d.datname = current_database()`).Scan(&database, &connects, &creates); err != nil {
		return err
	}
	name := pgx.Identifier{database}.Sanitize()
	if connects {
		// The grant goes first: the owner has CONNECT by default, but may have revoked it from itself.
		if _, err := conn.Exec(ctx, `GRANT CONNECT ON DATABASE `+name+` TO current_user`); err != nil {
			return err
		}
		if _, err := conn.Exec(ctx, `REVOKE CONNECT, TEMPORARY ON DATABASE `+name+` FROM PUBLIC`); err != nil {
			return err
		}
	}
	if creates {
		_, err := conn.Exec(ctx, `REVOKE CREATE ON SCHEMA public FROM PUBLIC`)
		return err
	}
	return nil
}

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

// closeConn closes a connection that connect made, even if ctx has ended.
func closeConn(ctx context.Context, conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	_ = conn.Close(ctx)
}
