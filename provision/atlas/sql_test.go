package atlas_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/provision/atlas"
)

func TestHashIsOfContentsAndOrder(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{
		"1.sql": {Data: []byte("CREATE TABLE a ()")}, "2.sql": {Data: []byte("CREATE TABLE b ()")},
		"same/1.sql": {Data: []byte("CREATE TABLE a ()")},
	}
	hash := func(names, repeatable []string) string {
		return must(t)(atlas.SQL(atlas.Config{FS: files, Files: names, Repeatable: repeatable})).Hash()
	}
	base := hash([]string{"?.sql"}, nil)
	if len(base) != 32 || strings.Trim(base, "0123456789abcdef") != "" {
		t.Errorf("hash %q", base)
	}
	if again := hash([]string{"same/1.sql", "2.sql"}, nil); again != base {
		t.Error("other names, another hash")
	}
	for _, other := range []string{
		hash([]string{"2.sql", "1.sql"}, nil), hash([]string{"1.sql"}, nil), hash([]string{"1.sql"}, []string{"2.sql"}),
	} {
		if other == base {
			t.Error("another schema, the same hash")
		}
	}
	one := must(t)(atlas.SQL(atlas.Config{Text: "CREATE TABLE a ()"})).Hash()
	if one != hash([]string{"1.sql"}, nil) {
		t.Error("a text and a file of it have different hashes")
	}
}

func TestConfigNamesEveryViolation(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{"1.sql": {Data: []byte("SELECT 1")}}
	for _, c := range []struct {
		cfg  atlas.Config
		want []string
	}{
		{atlas.Config{}, []string{"Config.Files: exactly one"}},
		{atlas.Config{Text: "SELECT 1", FS: files, Files: []string{"1.sql"}}, []string{"Config.Files: exactly one"}},
		{atlas.Config{Files: []string{"1.sql"}}, []string{"Config.FS: must be set"}},
		{
			atlas.Config{FS: files, Files: []string{"no*.sql", "["}, Repeatable: []string{"none"}},
			[]string{`Config.Files: "no*.sql"`, `Config.Files: "["`, `Config.Repeatable: "none"`},
		},
	} {
		_, err := atlas.SQL(c.cfg)
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v does not say %q", err, want)
			}
		}
	}
}

func TestBuildErrorsSayWhere(t *testing.T) {
	t.Parallel()
	cfg := pgtest.Database(t).ConnConfig
	base := fingerprintOf(t, cfg)
	for sql, want := range map[string]string{
		"CREATE TABLE a ();\nCREATE TABLE b (id unknown_type);": `statement 2, line 2: ERROR: type "unknown_type" does not exist (SQLSTATE 42704)`,
		"CREATE TABLE a (); CREATE TABLE a ();":                 `statement 2: ERROR: relation "a" already exists`,
		"CREATE TABEL a ()":                                     "line 1: ERROR: syntax error (SQLSTATE 42601)",
		"DO $$ BEGIN RAISE 'secret'; END $$":                    "ERROR: raised by a function (SQLSTATE P0001)",
	} {
		if err := text(t, sql).Build(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", sql, err)
		}
	}
	if diff := base.Diff(fingerprintOf(t, cfg)); diff != nil {
		t.Errorf("something stayed: %v", diff)
	}
	for _, sql := range []string{"CREATE TABLE a (); COMMIT", "CREATE TABLE b (); COMMIT; BEGIN"} {
		if err := text(t, sql).Build(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "ends the transaction") {
			t.Errorf("%s: %v", sql, err)
		}
	}
}

func TestRepeatableFilesCarryWhatAtlasDoesNotSee(t *testing.T) {
	t.Parallel()
	tables := `CREATE TABLE member (id bigint PRIMARY KEY, email text);`
	companions := func(view, body, policy string) string {
		return `CREATE OR REPLACE VIEW roster AS ` + view + `;
			CREATE OR REPLACE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ` + body + `; RETURN NEW; END $$;
			CREATE OR REPLACE TRIGGER member_touch BEFORE UPDATE ON member FOR EACH ROW EXECUTE FUNCTION touch();
			ALTER TABLE member ENABLE ROW LEVEL SECURITY;
			DROP POLICY IF EXISTS p ON member; CREATE POLICY p ON member USING (` + policy + `);
			GRANT SELECT ON roster TO PUBLIC;`
	}
	config := func(tables, repeatable string) atlas.Config {
		return atlas.Config{
			Text: tables, Repeatable: []string{"r.sql"},
			FS: fstest.MapFS{"r.sql": {Data: []byte(repeatable)}},
		}
	}
	old := must(t)(atlas.SQL(config(tables, companions("SELECT id FROM member", "NULL", "true"))))
	s := must(t)(atlas.SQL(config(tables+"CREATE TABLE note (id bigint PRIMARY KEY);",
		companions("SELECT id, email FROM member", "NEW.email := lower(NEW.email)", "id > 0"))))
	u := task(t, built(t, old), built(t, s))
	report, err := s.Upgrade(t.Context(), u)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Changes) != 1 || report.Changes[0].Name != "add table note" {
		t.Errorf("changes: %v", names(report))
	}
	if diff := fingerprintOf(t, u.Target).Diff(fingerprintOf(t, u.Model)); diff != nil {
		t.Errorf("after the upgrade: %v", diff)
	}
}
