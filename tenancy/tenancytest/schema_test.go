package tenancytest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/tenancy/tenancytest"
)

func files(names ...string) fstest.MapFS {
	fsys := make(fstest.MapFS)
	for i := 0; i < len(names); i += 2 {
		fsys[names[i]] = &fstest.MapFile{Data: []byte(names[i+1])}
	}
	return fsys
}

func TestFilesRunInOrder(t *testing.T) {
	t.Parallel()
	fsys := files("2.sql", "ALTER TABLE notes ADD COLUMN author text", "1.sql", notesTable, "data/a.sql",
		"INSERT INTO notes (text, author) VALUES ('é', 'Ann')")
	tenant := tenancytest.New(t, tenancytest.Config{Schema: tenancytest.Files(fsys, "*.sql", "data/*")}).Tenant(t)
	var author string
	if err := tenant.Lease(t).Pool().QueryRow(t.Context(), "SELECT author FROM notes").Scan(&author); err != nil {
		t.Fatal(err)
	}
	if author != "Ann" {
		t.Errorf("author %q", author)
	}
}

func TestWrongSchemaSaysWhere(t *testing.T) {
	t.Parallel()
	for want, schema := range map[string]tenancytest.Schema{
		`b.sql:3: ERROR: syntax error at or near "TABL"`: tenancytest.Files(
			files("a.sql", notesTable, "b.sql", "-- é\nSELECT 1;\nCREATE TABL x ();"), "*.sql"),
		`script 2: ERROR: division by zero`:                tenancytest.SQL(notesTable, "SELECT 1/0"),
		`no file matches "*.sql"`:                          tenancytest.Files(files("a.txt", ""), "*.sql"),
		"1.down.sql has a migration's way down":            tenancytest.Files(files("1.down.sql", ""), "*.sql"),
		"1.sql has a migration's way down: use Migrations": tenancytest.Files(files("1.sql", "-- +goose Down"), "*.sql"),
		"migrate: out of paper": tenancytest.Migrations(files("1.sql", "x"), func(context.Context, *pgx.ConnConfig) error {
			return errors.New("migrate: out of paper")
		}),
	} {
		for range 2 { // the second time, the error is remembered
			got := reported(t, func(tb testing.TB) { tenancytest.New(tb, tenancytest.Config{Schema: schema}) })
			if !strings.Contains(got, "tenancytest: make schema: ") || !strings.Contains(got, want) {
				t.Errorf("the test reports %q, want %q", got, want)
			}
		}
	}
}

func TestMigrationsRunOnceForTheSameFiles(t *testing.T) {
	t.Parallel()
	var runs atomic.Int64
	migrate := func(ctx context.Context, cfg *pgx.ConnConfig) error {
		conn, err := pgx.ConnectConfig(ctx, cfg)
		if err != nil {
			return err
		}
		defer conn.Close(context.WithoutCancel(ctx))
		_, err = conn.Exec(ctx, fmt.Sprintf("CREATE TABLE run%d ()", runs.Add(1)))
		return err
	}
	for _, step := range []struct {
		text string
		runs int64
	}{{"first", 1}, {"first", 1}, {"second", 2}, {"first", 2}} {
		schema := tenancytest.Migrations(files("1.sql", step.text), migrate)
		tenancytest.New(t, tenancytest.Config{Schema: schema}).Tenant(t)
		if runs.Load() != step.runs {
			t.Errorf("after %q: %d runs, want %d", step.text, runs.Load(), step.runs)
		}
	}
}
