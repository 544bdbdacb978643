package registry_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/registry"
)

func TestMigrateByFourProcessesAtOnceOnAnEmptyDatabase(t *testing.T) {
	t.Parallel()
	cfg := pgtest.Database(t)
	cfg.MaxConns = 1 // a migration must not need a second connection while it holds the first
	pools := make([]*pgxpool.Pool, 4)
	for i := range pools {
		pools[i] = newPool(t, cfg.Copy())
	}
	errs := concurrently(len(pools), func(i int) error { return registry.Migrate(t.Context(), pools[i]) })
	must(t, errors.Join(errs...))
	must(t, registry.Migrate(t.Context(), pools[0])) // and once more: nothing to do

	r := newRegistry(t, registry.Config{Pool: pools[0], Keyring: newKeyring(t, 1)})
	must(t, r.Check(t.Context()))
	var schemas []string
	must(t, pools[0].QueryRow(t.Context(), `SELECT array_agg(DISTINCT table_schema::text) FROM information_schema.tables
		WHERE table_schema NOT IN ('pg_catalog', 'information_schema')`).Scan(&schemas))
	if len(schemas) != 1 || schemas[0] != "pgtenancy" {
		t.Errorf("tables in schemas %v, want pgtenancy alone", schemas)
	}
	var locks int
	must(t, pools[0].QueryRow(t.Context(), `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`).Scan(&locks))
	if locks != 0 {
		t.Errorf("%d advisory locks left", locks)
	}
}

func TestMigrateOnOneSharedPool(t *testing.T) {
	t.Parallel()
	cfg := pgtest.Database(t)
	cfg.MaxConns = 4
	pool := newPool(t, cfg)
	must(t, errors.Join(concurrently(4, func(int) error { return registry.Migrate(t.Context(), pool) })...))
}

func TestMigrateAndCheckReportTheContextsError(t *testing.T) {
	t.Parallel()
	pool := newPool(t, pgtest.Database(t))
	r := newRegistry(t, registry.Config{Pool: pool, Keyring: newKeyring(t, 1)})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := registry.Migrate(ctx, pool); !errors.Is(err, context.Canceled) {
		t.Errorf("Migrate: %v, want context.Canceled", err)
	}
	if err := r.Check(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Check: %v, want context.Canceled", err)
	}
	var state interface{ SQLState() string }
	if err := r.Check(t.Context()); !errors.As(err, &state) || state.SQLState() != "42P01" {
		t.Errorf("Check before Migrate: %v, want SQLSTATE 42P01", err)
	}
}
