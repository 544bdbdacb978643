package registry_test

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
)

// dump returns what pg_dump prints of the registry. One that is older than the server refuses; then it is every row.
func (f *fixture) dump(t *testing.T) []byte {
	t.Helper()
	path := pgtest.Program(t, "pg_dump")
	var server int
	must(t, f.pool.QueryRow(t.Context(), "SELECT current_setting('server_version_num')::int / 10000").Scan(&server))
	printed, err := exec.CommandContext(t.Context(), path, "--version").Output()
	must(t, err)
	if major, _ := strconv.Atoi(string(regexp.MustCompile(`\d+`).Find(printed))); major < server {
		return f.rows(t)
	}
	cfg := f.pool.Config().ConnConfig
	cmd := exec.CommandContext(t.Context(), path, "--inserts")
	cmd.Env = append(os.Environ(), "PGHOST="+cfg.Host, fmt.Sprintf("PGPORT=%d", cfg.Port), "PGUSER="+cfg.User,
		"PGPASSWORD="+cfg.Password, "PGDATABASE="+cfg.Database)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("pg_dump: %v", err)
	}
	return out
}

// rows returns every value of every table of the registry, as --inserts quotes it.
func (f *fixture) rows(t *testing.T) []byte {
	t.Helper()
	rows, _ := f.pool.Query(t.Context(), "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND oid >= 16384")
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	must(t, err)
	var dump strings.Builder
	for _, table := range tables {
		rows, _ := f.pool.Query(t.Context(), `SELECT concat('''', v.value, '''') FROM `+table+` r, jsonb_each_text(to_jsonb(r)) v`)
		values, err := pgx.CollectRows(rows, pgx.RowTo[string])
		must(t, err)
		dump.WriteString(strings.Join(values, "\n"))
	}
	return []byte(dump.String())
}
