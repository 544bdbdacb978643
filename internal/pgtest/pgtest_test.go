package pgtest_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
)

// leakVariable makes TestLeak leave a goroutine behind: "main" and "leaks" name the gate that must notice.
const leakVariable = "PGTEST_LEAK"

func TestMain(m *testing.M) {
	if os.Getenv(leakVariable) == "leaks" {
		pgtest.Leaks(m)
	}
	pgtest.Main(m)
}

func TestLeak(t *testing.T) {
	if os.Getenv(leakVariable) != "" {
		go func() { select {} }()
	}
}

func TestLeakedGoroutineFailsTheRun(t *testing.T) {
	t.Parallel()
	for _, gate := range []string{"main", "leaks"} {
		t.Run(gate, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestLeak$")
			cmd.Env = append(os.Environ(), leakVariable+"="+gate)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "PASS\n") ||
				!strings.Contains(string(out), "unexpected goroutines") {
				t.Errorf("run with a leak: %v, want tests that pass and a run that fails\n%s", err, out)
			}
		})
	}
}

func TestDatabasesAreFreshAndTheirOwn(t *testing.T) {
	t.Parallel()
	first, second := pgtest.Database(t), pgtest.Database(t)
	if first.ConnConfig.Database == second.ConnConfig.Database {
		t.Fatalf("two databases are called %s", first.ConnConfig.Database)
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close) // closes before the database is dropped
	var tables int
	err = pool.QueryRow(t.Context(),
		"SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace").Scan(&tables)
	if err != nil || tables != 0 {
		t.Errorf("fresh database has %d relations, %v", tables, err)
	}
}

func TestDatabaseIsDroppedUnderItsUsers(t *testing.T) {
	t.Parallel()
	admin := pgtest.Admin(t)
	var name string
	t.Run("inner", func(t *testing.T) {
		config := pgtest.Database(t)
		name = config.ConnConfig.Database
		conn, err := pgx.ConnectConfig(t.Context(), config.ConnConfig)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn // left open
	})
	conn, err := pgx.ConnectConfig(t.Context(), admin)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	var left int
	err = conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_database WHERE datname = $1", name).Scan(&left)
	if err != nil || left != 0 {
		t.Errorf("%d databases %q left, %v", left, name, err)
	}
}

func TestAdminIsASuperuserAndACopy(t *testing.T) {
	t.Parallel()
	config := pgtest.Admin(t)
	config.Database = "elsewhere"
	if pgtest.Admin(t).Database == "elsewhere" {
		t.Error("Admin returned the same configuration twice")
	}
	conn, err := pgx.ConnectConfig(t.Context(), pgtest.Admin(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	var super string
	if err := conn.QueryRow(t.Context(), "SHOW is_superuser").Scan(&super); err != nil || super != "on" {
		t.Errorf("is_superuser = %q, %v", super, err)
	}
}
