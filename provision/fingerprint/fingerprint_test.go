package fingerprint_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/provision/fingerprint"
)

// connect connects to the database of cfg until the end of the test.
func connect(tb testing.TB, cfg *pgx.ConnConfig) *pgx.Conn {
	tb.Helper()
	conn, err := pgx.ConnectConfig(tb.Context(), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close(context.WithoutCancel(tb.Context())) })
	return conn
}

// script runs any number of statements.
func script(tb testing.TB, conn *pgx.Conn, sql string) {
	tb.Helper()
	if _, err := conn.PgConn().Exec(tb.Context(), sql).ReadAll(); err != nil {
		tb.Fatalf("%s: %v", sql, err)
	}
}

func take(tb testing.TB, conn *pgx.Conn) *fingerprint.Fingerprint {
	tb.Helper()
	f, err := fingerprint.Take(tb.Context(), conn)
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

func TestEachChangeOfASchemaChangesTheFingerprint(t *testing.T) {
	t.Parallel()
	conn := connect(t, pgtest.Database(t).ConnConfig)
	script(t, conn, baseSQL)
	base := take(t, conn)
	changes := anyChanges
	for since, newer := range changesSince {
		if since <= fingerprint.MajorVersion(conn.PgConn().ParameterStatus("server_version")) {
			changes = slices.Concat(changes, newer)
		}
	}
	for _, c := range changes {
		t.Run(c.name, func(t *testing.T) {
			defer script(t, conn, "ROLLBACK")
			script(t, conn, "BEGIN; "+c.sql)
			got := take(t, conn)
			diff := base.Diff(got)
			if !strings.Contains(strings.Join(diff, "\n"), c.want) || len(diff) == 0 {
				t.Errorf("the difference does not name %q:\n%s", c.want, strings.Join(diff, "\n"))
			}
			if base.Sum() == got.Sum() {
				t.Error("the sums are equal")
			}
		})
	}
	if diff := cmp.Diff(base, take(t, conn)); diff != "" {
		t.Errorf("after all was rolled back (-before +after):\n%s", diff)
	}
}

func TestWhatIsNotSchemaLeavesTheFingerprintAlone(t *testing.T) {
	t.Parallel()
	conn := connect(t, pgtest.Database(t).ConnConfig)
	script(t, conn, baseSQL+`CREATE ROLE fp_login LOGIN; CREATE ROLE fp_owner NOLOGIN`)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		_, _ = conn.PgConn().Exec(ctx, `DROP OWNED BY fp_login, fp_owner; DROP ROLE fp_login, fp_owner`).ReadAll()
	})
	base := take(t, conn)
	for name, sql := range map[string]string{
		"rows":                "INSERT INTO team (name) VALUES ('a'); INSERT INTO member (team_id) SELECT id FROM team",
		"collected figures":   "INSERT INTO team (name) SELECT g::text FROM generate_series(1, 100) g; ANALYZE",
		"owner":               "ALTER TABLE member OWNER TO fp_owner; ALTER FUNCTION twice(integer) OWNER TO fp_owner",
		"a tenant's grants":   "GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO fp_login",
		"next sequence value": "SELECT nextval('ticket')",
		"object ids":          "DROP VIEW roster; CREATE VIEW roster AS SELECT id, email FROM member",
		"column order":        "ALTER TABLE member DROP COLUMN code; ALTER TABLE team DROP COLUMN note; ALTER TABLE team ADD COLUMN note text; ALTER TABLE member ADD COLUMN code varchar(10); CREATE INDEX member_code ON member (code) WHERE age > 18",
		"settings":            "SET LOCAL search_path = public; SET LOCAL DateStyle = German; SET LOCAL TimeZone = 'Asia/Tokyo'; SET LOCAL quote_all_identifiers = on; SET LOCAL IntervalStyle = iso_8601",
	} {
		t.Run(name, func(t *testing.T) {
			defer script(t, conn, "ROLLBACK")
			script(t, conn, "BEGIN; "+sql)
			diff := base.Diff(take(t, conn))
			if len(diff) > 0 {
				t.Errorf("differs:\n%s", strings.Join(diff, "\n"))
			}
		})
	}
}

func TestSameSQLAndClonesHaveEqualFingerprints(t *testing.T) {
	t.Parallel()
	a, b := pgtest.Database(t).ConnConfig, pgtest.Database(t).ConnConfig
	first, second := connect(t, a), connect(t, b)
	// Other object ids in the second database.
	script(t, second, "CREATE TABLE scratch (); CREATE TYPE shade AS ENUM ('x'); DROP TABLE scratch; DROP TYPE shade")
	script(t, first, baseSQL)
	script(t, second, baseSQL)
	want := take(t, first)
	if diff := want.Diff(take(t, second)); diff != nil {
		t.Errorf("two databases built from the same SQL differ:\n%s", strings.Join(diff, "\n"))
	}
	if err := second.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	admin := connect(t, pgtest.Admin(t))
	clone := b.Copy()
	clone.Database = b.Database + "_clone"
	script(t, admin, fmt.Sprintf("CREATE DATABASE %s TEMPLATE %s", clone.Database, b.Database))
	t.Cleanup(func() {
		_, _ = admin.Exec(context.WithoutCancel(t.Context()), fmt.Sprintf("DROP DATABASE %s WITH (FORCE)", clone.Database))
	})
	got := take(t, connect(t, clone))
	if diff := want.Diff(got); diff != nil {
		t.Errorf("the clone differs:\n%s", strings.Join(diff, "\n"))
	}
	if want.Sum() != got.Sum() {
		t.Error("equal lines, other sums")
	}
}

func TestFingerprintKeepsTheTransactionAndItsSettings(t *testing.T) {
	t.Parallel()
	conn := connect(t, pgtest.Database(t).ConnConfig)
	script(t, conn, "SET search_path = public, pg_temp")
	take(t, conn)
	if status := conn.PgConn().TxStatus(); status != 'I' {
		t.Errorf("transaction status %q after a fingerprint outside a transaction", status)
	}
	script(t, conn, "BEGIN; SET LOCAL lock_timeout = '7s'; CREATE TABLE kept ()")
	if lines := strings.Join(take(t, conn).Objects, "\n"); !strings.Contains(lines, "table public.kept: ") {
		t.Error("the transaction's own table is not in its fingerprint")
	}
	var settings string
	err := conn.QueryRow(t.Context(), "SELECT concat_ws('|', current_setting('search_path'), current_setting('lock_timeout'))").
		Scan(&settings)
	if err != nil || settings != "public, pg_temp|7s" {
		t.Errorf("in the transaction afterwards: %s, error %v", settings, err)
	}
	script(t, conn, "COMMIT")
	var path string
	var kept bool
	err = conn.QueryRow(t.Context(), "SELECT current_setting('search_path'), to_regclass('public.kept') IS NOT NULL").
		Scan(&path, &kept)
	if err != nil || path != "public, pg_temp" || !kept {
		t.Errorf("search_path %q, table kept: %v, error: %v", path, kept, err)
	}
}

func TestFingerprintErrorsKeepTheCause(t *testing.T) {
	t.Parallel()
	conn := connect(t, pgtest.Database(t).ConnConfig)
	if _, err := conn.PgConn().Exec(t.Context(), "BEGIN; SELECT 1/0").ReadAll(); err == nil {
		t.Fatal("no error from 1/0")
	}
	_, err := fingerprint.Take(t.Context(), conn)
	if pe := (*pgconn.PgError)(nil); !errors.As(err, &pe) || pe.Code != "25P02" {
		t.Errorf("in a failed transaction: %v", err)
	}
	script(t, conn, "ROLLBACK")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := fingerprint.Take(ctx, conn); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
}

func TestDiffNamesBothSides(t *testing.T) {
	t.Parallel()
	a := &fingerprint.Fingerprint{Objects: []string{"column a.b: integer", "table a: ", "view v: x"}}
	b := &fingerprint.Fingerprint{Objects: []string{"column a.b: text", "table a: "}}
	want := []string{"- column a.b: integer", "+ column a.b: text", "- view v: x"}
	if diff := cmp.Diff(want, a.Diff(b)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := a.Diff(a); diff != nil {
		t.Errorf("a fingerprint differs from itself: %q", diff)
	}
}

// What a version does not have must not be in its queries; only the version that is installed can be asked itself.
func TestFingerprintAsksEachVersionForWhatItHas(t *testing.T) {
	t.Parallel()
	for major, want := range map[int]struct{ in, out []string }{
		14: {[]string{"pg_publication_rel"}, []string{"prqual", "prattrs", "pg_publication_namespace"}},
		15: {[]string{"prqual", "prattrs", "pg_publication_namespace"}, nil},
		16: {[]string{"prqual", "prattrs", "pg_publication_namespace"}, nil},
		17: {[]string{"prqual", "prattrs", "pg_publication_namespace"}, nil},
		18: {[]string{"prqual", "prattrs", "pg_publication_namespace"}, nil},
	} {
		queries := fingerprint.Queries(major)
		text := strings.Join(queries, "\n")
		// Each of these is in some of the five versions only, under another name, or of another type.
		elsewhere := []string{
			"colliculocale", "colllocale", "collicurules", "daticulocale", "indnullsnotdistinct", "confdelsetcols", "conenforced",
			"conperiod", "pubgencols", "suborigin", "relallfrozen", "attcacheoff", "-- since", "-- before", "$extension", "$temporary",
		}
		for _, name := range append(want.out, elsewhere...) {
			if strings.Contains(text, name) {
				t.Errorf("version %d is asked for %s", major, name)
			}
		}
		for _, name := range want.in {
			if !strings.Contains(text, name) {
				t.Errorf("version %d is not asked for %s", major, name)
			}
		}
		if len(queries) != 22 || strings.Count(text, "'pg_publication_rel'::regclass") != 1 {
			t.Errorf("version %d: %d queries", major, len(queries))
		}
	}
	for version, want := range map[string]int{
		"15.18 (Debian 15.18-0+deb12u1)": 15, "18beta1": 18, "14.3": 14, "17": 17, "": 0, "devel": 0,
	} {
		if got := fingerprint.MajorVersion(version); got != want {
			t.Errorf("version %q is %d", version, got)
		}
	}
}

func TestFunctionsPlantedInADatabaseAreNotCalledByItsFingerprint(t *testing.T) {
	t.Parallel()
	cfg := pgtest.Database(t).ConnConfig
	plant := "SET search_path = public;"
	for _, signature := range []string{ // that fit better than PostgreSQL's own
		"quote_ident(name) RETURNS text", "concat(text, text) RETURNS text", "concat_ws(text, name) RETURNS text",
		"set_config(text, text, text) RETURNS text", "format_type(regtype, integer) RETURNS text", "pg_get_indexdef(regclass) RETURNS text",
	} {
		plant += "CREATE FUNCTION " + signature + " LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'called'; END $$;"
	}
	for _, mode := range []pgx.QueryExecMode{
		pgx.QueryExecModeCacheStatement, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
	} {
		cfg := cfg.Copy()
		cfg.DefaultQueryExecMode = mode
		conn := connect(t, cfg)
		script(t, conn, baseSQL+plant)
		take(t, conn)
		script(t, conn, "DROP SCHEMA public CASCADE; CREATE SCHEMA public; SET search_path = public")
	}
}

func TestFingerprintIsTakenInEveryModeOfPgx(t *testing.T) {
	t.Parallel()
	cfg := pgtest.Database(t).ConnConfig
	script(t, connect(t, cfg), baseSQL)
	want := take(t, connect(t, cfg))
	for _, mode := range []pgx.QueryExecMode{
		pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
	} {
		cfg := cfg.Copy()
		cfg.DefaultQueryExecMode = mode
		conn := connect(t, cfg)
		for _, begin := range []string{"", "BEGIN"} {
			script(t, conn, begin)
			if diff := want.Diff(take(t, conn)); diff != nil {
				t.Errorf("%v %s: %v", mode, begin, diff)
			}
		}
	}
}

// exampleSchema is the schema of examples/server: 25 tables, 75 indexes.
func exampleSchema(tb testing.TB) string {
	tb.Helper()
	text, err := os.ReadFile("../../examples/server/schema/schema.sql")
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

func TestFingerprintIsQuickOnAnOpenConnection(t *testing.T) {
	conn := connect(t, pgtest.Database(t).ConnConfig)
	script(t, conn, exampleSchema(t))
	script(t, conn, "ANALYZE")
	took := make([]time.Duration, pgtest.Size(20, 200))
	var first time.Duration
	for i := range took {
		start := time.Now()
		f := take(t, conn)
		took[i] = time.Since(start)
		if i == 0 {
			first = took[i]
		}
		if len(f.Objects) < 400 {
			t.Fatalf("%d objects", len(f.Objects))
		}
	}
	slices.Sort(took)
	defer pgtest.Figure(t, "fingerprint", "25 tables: fresh connection %v, then median %v, fastest %v",
		first.Round(time.Millisecond/10), took[len(took)/2].Round(time.Millisecond/10), took[0].Round(time.Millisecond/10))
	if took[0] > 100*time.Millisecond { // ten times what it takes
		t.Errorf("the fastest took %v", took[0])
	}
}

func BenchmarkTake(b *testing.B) {
	conn := connect(b, pgtest.Database(b).ConnConfig)
	script(b, conn, exampleSchema(b))
	for b.Loop() {
		take(b, conn)
	}
}
