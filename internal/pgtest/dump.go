package pgtest

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Dump returns what pg_dump prints of the database of pool. Where there is no pg_dump, as beside a prebuilt server, or
// pg_dump is older than the server and refuses, Dump returns every value of every table.
func Dump(tb testing.TB, pool *pgxpool.Pool) []byte {
	tb.Helper()
	path, err := exec.LookPath(Program(tb, "pg_dump"))
	if err != nil {
		return values(tb, pool)
	}
	var server int
	err = pool.QueryRow(tb.Context(), "SELECT current_setting('server_version_num')::int / 10000").Scan(&server)
	if err != nil {
		tb.Fatal(err)
	}
	//nolint:gosec // a program that the test found
	printed, err := exec.CommandContext(tb.Context(), path, "--version").Output()
	if err != nil {
		tb.Fatal(err)
	}
	if major, _ := strconv.Atoi(string(regexp.MustCompile(`\d+`).Find(printed))); major < server {
		return values(tb, pool)
	}
	cfg := pool.Config().ConnConfig
	cmd := exec.CommandContext(tb.Context(), path, "--inserts") //nolint:gosec // a program that the test found
	cmd.Env = append(os.Environ(), "PGHOST="+cfg.Host, fmt.Sprintf("PGPORT=%d", cfg.Port), "PGUSER="+cfg.User,
		"PGPASSWORD="+cfg.Password, "PGDATABASE="+cfg.Database)
	out, err := cmd.Output()
	if err != nil {
		tb.Fatalf("pg_dump: %v", err)
	}
	return out
}

// values returns every value of every table, as --inserts quotes it.
func values(tb testing.TB, pool *pgxpool.Pool) []byte {
	tb.Helper()
	rows, _ := pool.Query(tb.Context(), "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND oid >= 16384")
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		tb.Fatal(err)
	}
	var dump strings.Builder
	for _, table := range tables {
		rows, _ := pool.Query(tb.Context(),
			`SELECT concat('''', v.value, '''') FROM `+table+` r, jsonb_each_text(to_jsonb(r)) v`)
		values, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			tb.Fatal(err)
		}
		dump.WriteString(strings.Join(values, "\n"))
	}
	return []byte(dump.String())
}
