package registry

import (
	"context"
	"embed"
	"io/fs"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrationLock is the advisory lock of the one process that migrates: the first eight bytes of "pgtenancy".
const migrationLock int64 = 0x706774656e616e63

// Migrate brings the registry's database to the schema of this version of the package, in the PostgreSQL schema
// "pgtenancy", and does nothing if it is there already. Any number of processes may call it at once: they wait for
// one another. ctx governs all of it. pool must not lead through a pooler in transaction mode: the lock is a session's.
func Migrate(ctx context.Context, pool *pgxpool.Pool) error {
	return driverErr("migrate", migrate(ctx, pool))
}

func migrate(ctx context.Context, pool *pgxpool.Pool) error {
	// goose has locks of its own, but makes its version table before it takes one, and holds one connection of the
	// pool while it waits for another.
	conn, err := connect(ctx, pool)
	if err != nil {
		return err
	}
	defer hangUp(ctx, conn) // which frees the lock
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock($1)`, migrationLock); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, `CREATE SCHEMA IF NOT EXISTS pgtenancy`); err != nil {
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
