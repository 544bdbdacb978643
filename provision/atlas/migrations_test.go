package atlas_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/provision/atlas"
)

// directory makes a directory of migrations from names and texts in turn.
func directory(tb testing.TB, files ...string) fstest.MapFS {
	tb.Helper()
	dir := fstest.MapFS{}
	for i := 0; i < len(files); i += 2 {
		dir[files[i]] = &fstest.MapFile{Data: []byte(files[i+1])}
	}
	sum, err := atlas.MigrationsSum(dir, "")
	if err != nil {
		tb.Fatal(err)
	}
	dir["atlas.sum"] = &fstest.MapFile{Data: sum}
	return dir
}

// history returns the schema that the files make.
func history(tb testing.TB, files ...string) provision.Schema {
	tb.Helper()
	return must(tb)(atlas.Migrations(atlas.MigrationsConfig{FS: directory(tb, files...)}))
}

// ran lists the versions of a database's revisions; those that were begun only have a number.
func ran(tb testing.TB, cfg *pgx.ConnConfig) string {
	tb.Helper()
	var list string
	err := connect(tb, cfg).QueryRow(tb.Context(), `SELECT coalesce(string_agg(
		version || CASE WHEN done THEN '' ELSE ':' || applied END, ' ' ORDER BY version), '') FROM pgtenancy.revisions`).Scan(&list)
	if err != nil {
		tb.Fatal(err)
	}
	return list
}

const (
	first = `CREATE TABLE member (id bigint PRIMARY KEY, nick text);
		CREATE FUNCTION shout() RETURNS text LANGUAGE sql AS $$ SELECT 'a;b' $$;`
	second = `-- members' notes
		CREATE VIEW nicks AS SELECT nick FROM member; ALTER TABLE member ENABLE ROW LEVEL SECURITY;`
	third = "-- atlas:txmode none\n\nCREATE INDEX CONCURRENTLY member_nick ON member (nick);\nCREATE INDEX " +
		"CONCURRENTLY member_nick2 ON member (id, nick);\n"
)

func TestMigrationsUpgradeWhatTheyHaveBuilt(t *testing.T) {
	t.Parallel()
	old := history(t, "1_first.sql", first)
	s := history(t, "1_first.sql", first, "2_second.sql", second, "3_third.sql", third, "4.sql",
		"ALTER TABLE member ADD COLUMN age integer")
	u := task(t, built(t, old), built(t, s))
	base := fingerprintOf(t, u.Target)
	u.Policy.DryRun = true
	dry, err := s.Upgrade(t.Context(), u)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"migration 2_second.sql", "migration 3_third.sql", "migration 4.sql"}
	if diff := cmp.Diff(want, names(dry)); diff != "" || dry.Applied || dry.Changes[0].SQL != second {
		t.Errorf("dry run, applied %v (-want +got):\n%s", dry.Applied, diff)
	}
	if diff := base.Diff(fingerprintOf(t, u.Target)); diff != nil || ran(t, u.Target) != "1" {
		t.Errorf("the dry run changed the database: %v", diff)
	}
	u.Policy.DryRun = false
	for range 2 {
		report, err := s.Upgrade(t.Context(), u)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, names(report)); diff != "" || !report.Applied {
			t.Errorf("applied %v (-want +got):\n%s", report.Applied, diff)
		}
		want = nil
	}
	if diff := fingerprintOf(t, u.Target).Diff(fingerprintOf(t, u.Model)); diff != nil || ran(t, u.Target) != "1 2 3 4" {
		t.Errorf("ran %s; differs: %v", ran(t, u.Target), diff)
	}
}

func TestMigrationThatMissesTheModelIsRolledBack(t *testing.T) {
	t.Parallel()
	s := history(t, "1.sql", first, "2.sql", second, "3.sql", "ALTER TABLE member ADD COLUMN age integer")
	u := task(t, built(t, history(t, "1.sql", first)), built(t, s))
	script(t, u.Target, "CREATE FUNCTION drift() RETURNS integer LANGUAGE sql AS 'SELECT 1'")
	if _, err := s.Upgrade(t.Context(), u); !errors.Is(err, errMismatch) || !strings.Contains(err.Error(),
		"- function public.drift()") {
		t.Errorf("a database with more than the model: %v", err)
	}
	if got := ran(t, u.Target); got != "1 2" {
		t.Errorf("ran %s: the last file must go, and no other", got)
	}
	script(t, u.Target, "DROP FUNCTION drift")
	if _, err := s.Upgrade(t.Context(), u); err != nil {
		t.Errorf("after the drift was mended: %v", err)
	}
}

func TestMigrationsNoticeAChangedHistory(t *testing.T) {
	t.Parallel()
	target := built(t, history(t, "2.sql", first, "4.sql", second))
	for _, c := range []struct {
		name, want string
		files      []string
	}{
		{"edited", "2.sql was edited after it was run", []string{"2.sql", first + "\n", "4.sql", second}},
		{"removed", "4 was run and is gone", []string{"2.sql", first}},
		{"added before", "3.sql was added before a file that was run", []string{
			"2.sql", first, "3.sql", "SELECT 1", "4.sql",
			second,
		}},
		{"both", "2.sql was edited after it was run; 1.sql was added", []string{
			"1.sql", "SELECT 1", "2.sql", "SELECT 2",
			"4.sql", second,
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := history(t, c.files...)
			_, err := s.Upgrade(t.Context(), task(t, target, target))
			if changed := (*atlas.HistoryError)(nil); !errors.As(err, &changed) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
		})
	}
	if got := ran(t, target); got != "2 4" {
		t.Errorf("ran %s", got)
	}
}

func TestMigrationWithoutTransactionGoesOnWhereItFailed(t *testing.T) {
	t.Parallel()
	const top = "-- atlas:txmode none\n\nCREATE INDEX CONCURRENTLY a ON member (nick);\n"
	old := history(t, "1.sql", first)
	broken := history(t, "1.sql", first, "2.sql", top+"CREATE INDEX CONCURRENTLY b ON member (nik);")
	mended := history(t, "1.sql", first, "2.sql", top+"CREATE INDEX CONCURRENTLY b ON member (id, nick);")
	edited := history(t, "1.sql", first, "2.sql", strings.Replace(top, "(nick)", "(id)",
		1)+"CREATE INDEX b ON member (id, nick);")
	u := task(t, built(t, old), built(t, mended))
	if _, err := broken.Upgrade(t.Context(), u); err == nil || !strings.Contains(err.Error(), "2.sql: statement 2: ") {
		t.Fatalf("%v", err)
	}
	if got := ran(t, u.Target); got != "1 2:1" {
		t.Fatalf("ran %s", got)
	}
	if _, err := edited.Upgrade(t.Context(), u); err == nil || !strings.Contains(err.Error(),
		"2.sql was edited after a part of it was run") {
		t.Errorf("another first statement: %v", err)
	}
	if _, err := mended.Upgrade(t.Context(), u); err != nil || ran(t, u.Target) != "1 2" {
		t.Errorf("another second statement: %v, ran %s", err, ran(t, u.Target))
	}
}

func TestMigrationsStartWithNewSettings(t *testing.T) {
	t.Parallel()
	s := history(t, "1.sql", "SELECT pg_catalog.set_config('search_path', '', false); CREATE TABLE public.a (); SET "+
		"ROLE pg_monitor;",
		"2.sql", "CREATE TABLE b ()", "3.sql", "-- atlas:txmode none\n\nSET search_path = ''; CREATE TABLE public.c "+
			"();", "4.sql", "CREATE TABLE d ()")
	if got := strings.Join(fingerprintOf(t, built(t, s)).Objects, "\n"); !strings.Contains(got, "table public.d: ") {
		t.Error("the last table is not in public")
	}
}

func TestMigrationsAreRefusedWhereAllowedByNobody(t *testing.T) {
	t.Parallel()
	s := history(t, "1.sql", first, "2.sql", "ALTER TABLE member RENAME COLUMN nick TO alias")
	u := task(t, built(t, history(t, "1.sql", first)), built(t, s))
	_, err := s.Upgrade(t.Context(), u)
	if d := (*provision.DestructiveError)(nil); !errors.As(err, &d) || !strings.Contains(err.Error(),
		"member.nick is to be renamed") {
		t.Errorf("%v", err)
	}
	if got := ran(t, u.Target); got != "1" {
		t.Errorf("ran %s", got)
	}
	u.Policy.Allow = []string{"drop column member.nick"}
	if _, err := s.Upgrade(t.Context(), u); err != nil {
		t.Error(err)
	}
}

func TestDatabaseWithoutRevisionsNeedsABaseline(t *testing.T) {
	t.Parallel()
	files := []string{"1.sql", first, "2.sql", second, "3.sql", "CREATE TABLE note (id bigint PRIMARY KEY)"}
	s := history(t, files...)
	target := built(t, text(t, first+second))
	if _, err := s.Upgrade(t.Context(), task(t, target, built(t, s))); !errors.Is(err, atlas.ErrNoRevisions) {
		t.Errorf("without a baseline: %v", err)
	}
	adopting := must(t)(atlas.Migrations(atlas.MigrationsConfig{FS: directory(t, files...), Baseline: "2"}))
	if _, err := adopting.Upgrade(t.Context(), task(t, target, built(t, s))); err != nil {
		t.Fatal(err)
	}
	if got := ran(t, target); got != "1 2 3" || adopting.Hash() != s.Hash() {
		t.Errorf("ran %s", got)
	}
}

func TestRevisionsAreNobodyElses(t *testing.T) {
	t.Parallel()
	cfg := pgtest.Database(t).ConnConfig
	script(t, cfg, `ALTER DEFAULT PRIVILEGES GRANT USAGE ON SCHEMAS TO pg_monitor; ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO pg_monitor, PUBLIC`)
	if err := history(t, "1.sql", first).Build(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	var may bool
	err := connect(t, cfg).QueryRow(t.Context(), `SELECT has_schema_privilege('pg_monitor', 'pgtenancy', 'USAGE')
		OR has_table_privilege('pg_monitor', 'pgtenancy.revisions', 'SELECT, INSERT, UPDATE, DELETE')`).Scan(&may)
	if err != nil || may {
		t.Errorf("others may use them: %v, error %v", may, err)
	}
}

func TestMigrationsFailWithoutRowValuesAndLeaveNothingOfTheFile(t *testing.T) {
	t.Parallel()
	old := history(t, "1.sql", first)
	s := history(t, "1.sql", first, "2.sql", "CREATE TABLE note (); CREATE UNIQUE INDEX one_nick ON member (nick)")
	target := built(t, old)
	script(t, target, "INSERT INTO member VALUES (1, 'secret'), (2, 'secret')")
	base := fingerprintOf(t, target)
	_, err := s.Upgrade(t.Context(), task(t, target, built(t, s)))
	if err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "2.sql: statement 2: ") {
		t.Errorf("%v", err)
	}
	if diff := base.Diff(fingerprintOf(t, target)); diff != nil || ran(t, target) != "1" {
		t.Errorf("stayed: %v, ran %s", diff, ran(t, target))
	}
	commits := history(t, "1.sql", first, "2.sql", "CREATE TABLE note (); COMMIT; BEGIN")
	if _, err := commits.Upgrade(t.Context(), task(t, target, target)); err == nil || !strings.Contains(err.Error(),
		"ends the transaction") {
		t.Errorf("%v", err)
	}
}

func TestMigrationsOfOneDatabaseTakeTurns(t *testing.T) {
	t.Parallel()
	s := history(t, "1.sql", first, "2.sql", third)
	u := task(t, built(t, history(t, "1.sql", first)), built(t, s))
	u.Policy.LockTimeout = time.Minute // two wait for a third, on a machine that may be busy
	results := make(chan error)
	for range 3 { // the second would fail: the indexes are there
		go func() {
			_, err := s.Upgrade(t.Context(), u)
			results <- err
		}()
	}
	for range 3 {
		if err := pgtest.Receive(t, "an upgrade ends", results); err != nil {
			t.Error(err)
		}
	}
}

func TestMigrationsUpgradeThatIsCanceledKeepsTheFilesBefore(t *testing.T) {
	t.Parallel()
	s := history(t, "1.sql", first, "2.sql", second, "3.sql", "CREATE TABLE note ()")
	u := task(t, built(t, history(t, "1.sql", first)), built(t, s))
	ctx, cancel := context.WithCancel(t.Context())
	verify := u.Verify
	u.Verify = func(ctx context.Context, conn *pgx.Conn) error {
		cancel()
		return verify(ctx, conn)
	}
	if _, err := s.Upgrade(ctx, u); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if got := ran(t, u.Target); got != "1 2" {
		t.Errorf("ran %s", got)
	}
}
