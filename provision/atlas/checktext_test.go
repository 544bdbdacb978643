package atlas_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/pgtenancy/pgtenancy/provision/atlas"
)

func TestTextThatPostgreSQLCannotRunIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"\ufeffSELECT 1": "begins with a byte order mark",
		"SELECT '\xe9'":  "is not UTF-8",
		"S\x00E\x00":     "has a NUL in it",
		"SELECT 1;\nCOPY public.t (a, b) FROM stdin;\n1\tit's\n\\.\n": "line 2: COPY FROM stdin needs psql",
		"SELECT 1; copy t\nfrom STDIN":                                "line 1: COPY FROM stdin needs psql",
		"-- a word\nCOPY t FROM stdin;\n\\.":                          "line 2: COPY FROM stdin needs psql",
		"-- COPY t FROM stdin\nSELECT 1":                              "",
		"/* COPY t FROM stdin; */ SELECT 1":                           "",
		"SELECT 'COPY t FROM stdin'":                                  "",
		"DO $$ BEGIN\nCOPY t FROM stdin; END $$":                      "",
		"COPY t FROM '/tmp/x'":                                        "",
		"COPY t TO stdout":                                            "",
	} {
		dir := fstest.MapFS{"1.sql": {Data: []byte(text)}}
		sum, err := atlas.MigrationsSum(dir, "")
		if err != nil {
			t.Fatal(err)
		}
		dir["atlas.sum"] = &fstest.MapFile{Data: sum}
		_, asText := atlas.SQL(atlas.Config{Text: text})
		_, asFile := atlas.SQL(atlas.Config{FS: dir, Files: []string{"1.sql"}})
		_, repeated := atlas.HCL(atlas.Config{Text: `schema "public" {}`, FS: dir, Repeatable: []string{"1.sql"}})
		_, migration := atlas.Migrations(atlas.MigrationsConfig{FS: dir})
		for how, err := range map[string]error{
			"schema: ": asText, "Files: 1.sql: ": asFile,
			"Repeatable: 1.sql: ": repeated, "migrations: 1.sql: ": migration,
		} {
			if (err != nil) != (want != "") || want != "" && !strings.Contains(err.Error(), how+want) {
				t.Errorf("%q: %v, want %s%s", text, err, how, want)
			}
		}
	}
}
