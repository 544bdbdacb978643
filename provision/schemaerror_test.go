package provision_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/provision/atlas"
)

// files is the schema of files, each with the text that follows its name, in this order.
func files(t *testing.T, list ...string) provision.Schema {
	t.Helper()
	dir, names := fstest.MapFS{}, []string(nil)
	for i := 0; i < len(list); i += 2 {
		dir[list[i]] = &fstest.MapFile{Data: []byte(list[i+1])}
		names = append(names, list[i])
	}
	s, err := atlas.SQL(atlas.Config{FS: dir, Files: names})
	must(t, err)
	return s
}

func (f *fixture) of(t *testing.T, s provision.Schema) *provision.Provisioner {
	t.Helper()
	return f.provisioner(t, func(c *provision.Config) { c.Schema, c.Seed = s, nil })
}

func TestErrorOfABuildSaysWhereAndWhat(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const secret = "hunter2"
	for _, c := range []struct{ name, text, want string }{
		{"syntax", "CREATE TABLE t (i int);\nCREATE TABEL u ()", "b.sql: line 2: ERROR: syntax error (SQLSTATE 42601)"},
		{
			"object", "CREATE TABLE t (i int);\nALTER TABLE t\nOWNER TO nobody",
			`b.sql: statement 2: ERROR: role "nobody" does not exist (SQLSTATE 42704)`,
		},
		{
			"relation", "SELECT 1;\n\nSELECT * FROM missing",
			`b.sql: statement 2, line 3: ERROR: relation "missing" does not exist (SQLSTATE 42P01)`,
		},
		{
			"extension", "SELECT 1; CREATE EXTENSION nowhere",
			`b.sql: statement 2: ERROR: extension "nowhere" is not available (SQLSTATE 0A000); detail: Could not open`,
		},
		{
			"in use", "CREATE TABLE t (i int); CREATE VIEW v AS SELECT i FROM t; ALTER TABLE t ALTER i TYPE text",
			"b.sql: statement 3: ERROR: cannot alter type of a column used by a view or rule (SQLSTATE 0A000); detail: rule " +
				"_RETURN on view v depends on column",
		},
		{"restrict", "SELECT 1;\n\\restrict abc\n", `b.sql: line 2: ERROR: syntax error (SQLSTATE 42601): a line that begins with \ is a command of psql`},
		{"connect", "\\c other\nSELECT 1", `b.sql: line 1: ERROR: syntax error (SQLSTATE 42601): a line that begins with \ is a command of psql`},
		{
			"unique", "CREATE TABLE t (e text); INSERT INTO t VALUES ('" + secret + "'), ('" + secret + "'); CREATE UNIQUE " +
				"INDEX u ON t (e)",
			`b.sql: statement 3: ERROR: constraint "u" of table "t" (SQLSTATE 23505)`,
		},
		{
			"null", "CREATE TABLE t (e text, n int); INSERT INTO t VALUES ('" + secret + "'); ALTER TABLE t ALTER n SET NOT " +
				"NULL",
			`b.sql: statement 3: ERROR: null value in column "n" of table "t" (SQLSTATE 23502)`,
		},
		{
			"row", "CREATE TABLE t (e text, n int NOT NULL); INSERT INTO t VALUES ('" + secret + "')",
			`b.sql: statement 2: ERROR: null value in column "n" of table "t" (SQLSTATE 23502)`,
		},
		{
			"input", "SELECT 1; SELECT '" + secret + "'::int",
			"b.sql: statement 2, line 1: ERROR: data exception (SQLSTATE 22P02)",
		},
		{
			"check", "CREATE TABLE t (e text CHECK (e = '')); INSERT INTO t VALUES ('" + secret + "')",
			`b.sql: statement 2: ERROR: constraint "t_e_check" of table "t" (SQLSTATE 23514)`,
		},
		{
			"raised", "DO $$ BEGIN RAISE EXCEPTION '" + secret + "' USING ERRCODE = '42501', HINT = '" + secret + "'; END $$",
			"b.sql: statement 1: ERROR: raised by a function (SQLSTATE 42501)",
		},
		{"commit", "COMMIT", "b.sql: ends the transaction it is run in"},
	} {
		err := f.of(t, files(t, "a.sql", "SELECT 1", "b.sql", c.text)).PrepareTemplate(t.Context(), "one")
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(),
			"build schema: atlas: build: ") {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestErrorOfASignUpOrUpgradeSaysWhereAndWhat(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	broken := f.of(t, files(t, "a.sql", "CREATE TABLE t (i int); CREATE TABLE u (i missing)"))
	const want = `a.sql: statement 2, line 1: ERROR: type "missing" does not exist (SQLSTATE 42704)`
	if _, err := broken.Create(t.Context(), request(t, "no", "no@example.org")); err == nil ||
		!strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
	f.create(t, f.of(t, files(t, "a.sql", "CREATE TABLE t (i int, e text); CREATE VIEW v AS SELECT i FROM t")), "acme")
	must(t, execute(t.Context(), f.in(f.prefix+"acme"), "INSERT INTO t (e) VALUES ('hunter2')"))
	for text, want := range map[string]string{
		"CREATE TABLE t (i int NOT NULL, e text); CREATE VIEW v AS SELECT i FROM t":        `statement 1 of 1 (modify "t" table): ERROR: null value in column "i" of table "t" (SQLSTATE 23502)`,
		"CREATE TABLE t (i int, e text CHECK (e = 'x')); CREATE VIEW v AS SELECT i FROM t": `ERROR: constraint "t_e_check" of table "t" (SQLSTATE 23514)`,
		"CREATE TABLE t (i bigint, e text); CREATE VIEW v AS SELECT i FROM t": "cannot alter type of a " +
			"column used by a view or rule (SQLSTATE 0A000); detail: rule _RETURN on view public.v",
	} {
		s, err := atlas.SQL(atlas.Config{
			Text: text, FS: fstest.MapFS{"r.sql": {Data: []byte("SELECT 1")}},
			Repeatable: []string{"r.sql"},
		})
		must(t, err)
		_, err = f.of(t, s).Upgrade(t.Context(), "acme", provision.Policy{})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
