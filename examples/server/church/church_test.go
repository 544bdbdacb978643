package church_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/examples/server/schema"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// newChurch returns a pool on a database with a church's schema.
func newChurch(t *testing.T) *pgxpool.Pool {
	t.Helper()
	db, err := pgxpool.NewWithConfig(t.Context(), pgtest.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	sql, err := schema.FS.ReadFile("schema.sql")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(t.Context(), string(sql)); err != nil {
		t.Fatalf("schema: %v", err)
	}
	return db
}

// must returns v, or ends the test.
func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func ptr[T any](v T) *T { return &v }

// count returns the result of a query for one number.
func count(t *testing.T, db *pgxpool.Pool, sql string, args ...any) (n int) {
	t.Helper()
	if err := db.QueryRow(context.WithoutCancel(t.Context()), sql, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
