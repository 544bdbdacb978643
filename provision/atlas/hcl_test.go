package atlas_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/provision/atlas"
	"github.com/pgtenancy/pgtenancy/provision/fingerprint"
)

const model = `
schema "public" {}
enum "status" {
  schema = schema.public
  values = ["new", "done"]
}
table "team" {
  schema = schema.public
  column "id" {
    type = bigint
    null = false
    identity { generated = ALWAYS }
  }
  column "name" {
    type    = varchar(80)
    null    = false
    default = "x"
    comment = "shown to members"
  }
  primary_key { columns = [column.id] }
}
table "member" {
  schema = schema.public
  column "id" { type = uuid }
  column "team_id" { type = bigint }
  column "email" { type = text }
  column "age" {
    type = integer
    null = true
  }
  column "next" {
    type = integer
    null = true
    as   = "age + 1"
  }
  column "state" {
    type    = enum.status
    default = "new"
  }
  primary_key { columns = [column.id] }
  foreign_key "member_team" {
    columns     = [column.team_id]
    ref_columns = [table.team.column.id]
    on_delete   = CASCADE
  }
  index "member_email" {
    unique = true
    on { expr = "lower(email)" }
  }
  index "member_new" {
    columns = [column.team_id]
    where   = "state = 'new'"
    include = [column.age]
  }
  unique "member_once" { columns = [column.team_id, column.email] }
  check "member_age" { expr = "age > 0" }
}
`

func TestHCLBuildsWhatTheSameSQLBuilds(t *testing.T) {
	t.Parallel()
	want := fingerprintOf(t, built(t, text(t, `
		CREATE TYPE status AS ENUM ('new', 'done');
		CREATE TABLE team (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name varchar(80) NOT NULL DEFAULT 'x');
		COMMENT ON COLUMN team.name IS 'shown to members';
		CREATE TABLE member (id uuid PRIMARY KEY, team_id bigint NOT NULL, email text NOT NULL, age integer,
			next integer GENERATED ALWAYS AS (age + 1) STORED, state status NOT NULL DEFAULT 'new',
			CONSTRAINT member_team FOREIGN KEY (team_id) REFERENCES team ON DELETE CASCADE,
			CONSTRAINT member_once UNIQUE (team_id, email), CONSTRAINT member_age CHECK (age > 0));
		CREATE UNIQUE INDEX member_email ON member (lower(email));
		CREATE INDEX member_new ON member (team_id) INCLUDE (age) WHERE state = 'new';`)))
	got := fingerprintOf(t, built(t, must(t)(atlas.HCL(atlas.Config{Text: model}))))
	if diff := got.Diff(want); diff != nil {
		t.Errorf("- is HCL's, + is SQL's:\n%s", strings.Join(diff, "\n"))
	}
}

func TestHCLUpgrades(t *testing.T) {
	t.Parallel()
	old := must(t)(atlas.HCL(atlas.Config{Text: model}))
	cfg := atlas.Config{
		FS: fstest.MapFS{
			"schema.hcl": {Data: []byte(strings.Replace(model, `column "email" { type = text }`,
				`column "email" { type = text }
				 column "nick" {
				   type = text
				   null = true
				 }`, 1))},
			"views.sql": {Data: []byte("CREATE OR REPLACE VIEW roster AS SELECT id, nick FROM member")},
		},
		Files: []string{"*.hcl"}, Repeatable: []string{"views.sql"},
	}
	s := must(t)(atlas.HCL(cfg))
	u := task(t, built(t, old), built(t, s))
	for _, changes := range []int{1, 0} {
		report, err := s.Upgrade(t.Context(), u)
		if err != nil {
			t.Fatal(err)
		}
		if len(report.Changes) != changes {
			t.Errorf("changes %v, want %d", names(report), changes)
		}
	}
}

func TestHCLRefusesWhatAtlasWouldPassOver(t *testing.T) {
	t.Parallel()
	for old, c := range map[string]struct{ new, want string }{
		`unique = true`:      {`uniqe = true`, `unknown attribute "uniqe" in index`},
		`null = true`:        {`nul = true`, `unknown attribute "nul" in column`},
		`check "member_age"`: {`chek "member_age"`, `unknown block "chek" in table`},
		`schema "public" {}`: {`schema "public" {}` + "\nfrobnicate \"x\" {}", `unknown block "frobnicate"`},
		`enum "status" {`: {
			"function \"f\" {\n  schema = schema.public\n}\nenum \"status\" {",
			`unknown block "function"`,
		},
		`column "email" { type = text }`: {
			"column \"email\" {\n collate = \"C\"\n}",
			`unknown attribute "collate" in column`,
		},
		`identity { generated = ALWAYS }`: {"identity {\n cache = 5\n}", `unknown attribute "cache" in identity`},
		`on_delete   = CASCADE`: {
			"on_delete = CASCADE\n deferrable = true",
			`unknown attribute "deferrable" in foreign_key`,
		},
		`index "member_email" {`: {
			"row_security {\n enabled = true\n }\n index \"member_email\" {",
			`unknown block "row_security" in table`,
		},
		`primary_key { columns`:          {`primary_key "a" "b" { columns`, `block "primary_key" in table has 2 labels`},
		`expr = "lower(email)"`:          {`exp = "lower(email)"`, `unknown attribute "exp" in on`},
		`schema = schema.public`:         {`schema = schema.publik`, "HCL:"},
		`[column.team_id, column.email]`: {`[column.team_id, column.emai]`, "HCL:"},
		`type    = enum.status`:          {`type = enum.statu`, "HCL:"},
		`CASCADE`:                        {`CASCAD`, "HCL:"},
		`columns = [column.id] }`:        {`columns = [column.idd] }`, "HCL:"},
		`type = uuid`:                    {`type = uid`, "HCL:"},
	} {
		if !strings.Contains(model, old) {
			t.Fatalf("the model has no %q", old)
		}
		changed := strings.Replace(model, old, c.new, 1)
		_, err := atlas.HCL(atlas.Config{Text: changed})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v does not say %q", c.new, err, c.want)
		}
	}
	_, err := atlas.HCL(atlas.Config{Text: "schema \"other\" {}\n"})
	if err == nil || !strings.Contains(err.Error(), `only "public" is managed`) {
		t.Errorf("another schema: %v", err)
	}
}

// A word that the check lets pass and Atlas drops would be a wish that nobody hears.
func TestEachWordOfHCLHasAnEffect(t *testing.T) {
	t.Parallel()
	const bare = `
schema "public" {}
enum "status" {
  schema = schema.public
  values = ["new", "done"]
}
table "team" {
  schema = schema.public
  column "id" { type = bigint }
  column "name" { type = text }
  primary_key { columns = [column.id] }
}
table "member" {
  schema = schema.public
  column "id" { type = bigint }
  column "team_id" { type = bigint }
  foreign_key "f" {
    columns     = [column.team_id]
    ref_columns = [table.team.column.id]
  }
  index "i" { columns = [column.id] }
  unique "u" { columns = [column.id, column.team_id] }
}
`
	cfg := droppable(t, "words")
	build := func(text string) *fingerprint.Fingerprint {
		t.Helper()
		if err := must(t)(atlas.HCL(atlas.Config{Text: text})).Build(t.Context(), cfg); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		defer script(t, cfg, "DROP OWNED BY words CASCADE; COMMENT ON SCHEMA public IS 'standard public schema'")
		return fingerprintOf(t, cfg)
	}
	base := build(bare)
	for i, c := range []struct{ old, new string }{
		{`schema "public" {}`, "schema \"public\" {\n comment = \"x\"\n}"},
		{`values = ["new", "done"]`, `values = ["new"]`},
		{`column "name" { type = text }`, "column \"name\" {\n type = text\n null = true\n}"},
		{`column "name" { type = text }`, "column \"name\" {\n type = text\n default = \"x\"\n}"},
		{`column "name" { type = text }`, "column \"name\" {\n type = text\n comment = \"x\"\n}"},
		{`column "name" { type = text }`, "column \"name\" {\n type = text\n as = \"'a' || 'b'\"\n}"},
		{`column "name" { type = text }`, "column \"name\" {\n type = text\n as {\n expr = \"'a' || 'b'\"\n type = STORED\n }\n}"},
		{`column "id" { type = bigint }`, "column \"id\" {\n type = bigint\n identity {\n generated = ALWAYS\n }\n}"},
		{`column "id" { type = bigint }`, "column \"id\" {\n type = bigint\n identity {\n generated = BY_DEFAULT\n start = 9\n increment = 5\n }\n}"},
		{`primary_key { columns = [column.id] }`, "primary_key {\n columns = [column.id]\n include = [column.name]\n}"},
		{`primary_key { columns = [column.id] }`, "primary_key {\n columns = [column.id]\n}\ncomment = \"x\""},
		{`primary_key { columns = [column.id] }`, "primary_key {\n columns = [column.id]\n}\ncheck \"c\" { expr = \"id > 0\" }"},
		{`[table.team.column.id]`, "[table.team.column.id]\n on_update = CASCADE"},
		{`[table.team.column.id]`, "[table.team.column.id]\n on_delete = SET_NULL"},
		{`index "i" { columns = [column.id] }`, "index \"i\" {\n columns = [column.id]\n unique = true\n}"},
		{`index "i" { columns = [column.id] }`, "index \"i\" {\n columns = [column.id]\n type = HASH\n}"},
		{`index "i" { columns = [column.id] }`, "index \"i\" {\n columns = [column.id]\n type = BRIN\n page_per_range = 9\n}"},
		{`index "i" { columns = [column.id] }`, "index \"i\" {\n columns = [column.id]\n where = \"id > 1\"\n}"},
		{`index "i" { columns = [column.id] }`, "index \"i\" {\n columns = [column.id]\n include = [column.team_id]\n}"},
		{`index "i" { columns = [column.id] }`, "index \"i\" {\n columns = [column.id]\n comment = \"x\"\n}"},
		{`index "i" { columns = [column.id] }`, "index \"i\" {\n columns = [column.id]\n unique = true\n nulls_distinct = false\n}"},
		{`index "i" { columns = [column.id] }`, "index \"i\" {\n on {\n column = column.id\n desc = true\n }\n}"},
		{`index "i" { columns = [column.id] }`, "index \"i\" {\n on {\n column = column.id\n nulls_first = true\n }\n}"},
		{`index "i" { columns = [column.id] }`, "index \"i\" {\n on {\n column = column.id\n desc = true\n nulls_last = true\n }\n}"},
		{`index "i" { columns = [column.id] }`, "index \"i\" {\n type = BRIN\n on {\n column = column.id\n ops = int8_bloom_ops\n }\n}"},
		{`index "i" { columns = [column.id] }`, "index \"i\" {\n on { expr = \"id + 1\" }\n}"},
		{
			`unique "u" { columns = [column.id, column.team_id] }`,
			"unique \"u\" {\n columns = [column.id]\n include = [column.team_id]\n}",
		},
		{
			`unique "u" { columns = [column.id, column.team_id] }`,
			"unique \"u\" {\n columns = [column.id, column.team_id]\n nulls_distinct = false\n}",
		},
		{`unique "u" { columns = [column.id, column.team_id] }`, "partition {\n type = RANGE\n columns = [column.id]\n}"},
		{`unique "u" { columns = [column.id, column.team_id] }`, "partition {\n type = LIST\n by { expr = \"id + 1\" }\n}"},
	} {
		if i%pgtest.Size(8, 1) != 0 {
			continue
		}
		if !strings.Contains(bare, c.old) {
			t.Fatalf("there is no %q", c.old)
		}
		text := strings.Replace(bare, c.old, c.new, 1)
		if diff := base.Diff(build(text)); diff == nil {
			t.Errorf("no effect: %s", c.new)
		}
	}
}

func FuzzHCLNeverPanics(f *testing.F) {
	for _, seed := range []string{
		model, "", "table", "table \"a\" { column \"b\" {} }",
		"schema \"public\" {}\nlocals { a = 1 }",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := atlas.HCL(atlas.Config{Text: text})
		if (s == nil) != (err != nil) {
			t.Errorf("schema %v, error %v", s, err)
		}
		if _, err := atlas.HCL(atlas.Config{Text: text + "\nfrobnicate {}\n"}); err == nil {
			t.Errorf("an unknown block at the end of %q was passed over", text)
		}
	})
}

func TestBuildsThatFailLeaveNothing(t *testing.T) {
	t.Parallel()
	cfg := pgtest.Database(t).ConnConfig
	base := fingerprintOf(t, cfg)
	broken := atlas.Config{
		FS:   fstest.MapFS{"bad.sql": {Data: []byte("CREATE VIEW v AS SELECT * FROM nowhere")}},
		Text: model, Repeatable: []string{"bad.sql"},
	}
	err := must(t)(atlas.HCL(broken)).Build(t.Context(), cfg)
	if err == nil || !strings.Contains(err.Error(), "bad.sql: statement 1, line 1: ") {
		t.Errorf("build: %v", err)
	}
	if diff := base.Diff(fingerprintOf(t, cfg)); diff != nil {
		t.Errorf("something stayed: %v", diff)
	}
}
