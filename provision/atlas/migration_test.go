package atlas_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/pgtenancy/pgtenancy/provision/atlas"
)

func TestMigrationsConfigNamesEveryViolation(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		files []string
		want  []string
	}{
		{[]string{"a.txt", ""}, []string{"has no SQL files"}},
		{[]string{"1.sql", "SELECT 1", "1_b.sql", "SELECT 2", "_x.sql", ""}, []string{
			`1_b.sql: version "1" is taken`,
			"_x.sql: the name does not begin with a version",
		}},
		{[]string{"9.sql", "", "10.sql", ""}, []string{`version "9" does not follow "10"`}},
		{[]string{"1.down.sql", ""}, []string{"1.down.sql: would be run"}},
		{[]string{"1.sql", "-- +goose Up\nSELECT 1"}, []string{"1.sql: has marks of another tool (+goose)"}},
		{
			[]string{"1.sql", "-- atlas:txmode none\nCREATE INDEX CONCURRENTLY a ON b (c)"},
			[]string{"1.sql: atlas:txmode has to stand at the top, followed by an empty line"},
		},
		{[]string{"1.sql", "SELECT 1;\n\n-- atlas:txmode none\n\nSELECT 2"}, []string{"1.sql: atlas:txmode has to stand"}},
		{[]string{"1.sql", "-- atlas:txmode all\n\nSELECT 1"}, []string{`directive "atlas:txmode all" has no meaning here`}},
		{[]string{"1.sql", "-- atlas:checkpoint\n\nSELECT 1"}, []string{`directive "atlas:checkpoint" has no meaning`}},
		{[]string{"1.sql", "-- atlas:delimiter x\nSELECT 1"}, []string{`directive "atlas:delimiter x" has no meaning`}},
		{[]string{"1.sql", "-- atlas:sum ignore\n\nSELECT 1"}, []string{`directive "atlas:sum ignore" has no meaning`}},
		{[]string{"1.sql", "-- atlas:txmode none\n\nSELECT 'a"}, []string{"1.sql: cannot be divided into statements"}},
	} {
		_, err := atlas.Migrations(atlas.MigrationsConfig{FS: directory(t, c.files...)})
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: error %v does not say %q", c.files, err, want)
			}
		}
	}
	dir := directory(t, "1.sql", first)
	if _, err := atlas.Migrations(atlas.MigrationsConfig{FS: dir, Baseline: "7"}); err == nil ||
		!strings.Contains(err.Error(), `MigrationsConfig.Baseline: there is no version "7"`) {
		t.Errorf("%v", err)
	}
	if _, err := atlas.Migrations(atlas.MigrationsConfig{}); err == nil || !strings.Contains(err.Error(),
		"MigrationsConfig.FS: must be set") {
		t.Errorf("%v", err)
	}
	for change, want := range map[string]string{
		"edited": "1.sql was edited", "added": "2.sql was added",
		"removed": "1.sql was removed", "none": "there is no atlas.sum", "broken": "atlas.sum: checksum",
	} {
		dir := directory(t, "1.sql", first, "3.sql", second)
		switch change {
		case "edited":
			dir["1.sql"] = &fstest.MapFile{Data: []byte(first + " ")}
		case "added":
			dir["2.sql"] = &fstest.MapFile{Data: []byte("SELECT 1")}
		case "removed":
			delete(dir, "1.sql")
		case "none":
			delete(dir, "atlas.sum")
		case "broken":
			dir["atlas.sum"] = &fstest.MapFile{Data: []byte("h1:x\n")}
		}
		if _, err := atlas.Migrations(atlas.MigrationsConfig{FS: dir}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", change, err)
		}
	}
}

func FuzzMigrationsAreRunWholeOrRefused(f *testing.F) {
	for _, seed := range []string{
		first, second, third, "", "-- atlas:txmode none\r\n\r\nSELECT 1", "--atlas:",
		"# atlas:txmode none\n\nx;", "DELIMITER //\na//", "-- atlas:nolint\n\nSELECT 1",
	} {
		f.Add("1_a.sql", seed)
	}
	f.Fuzz(func(t *testing.T, name, text string) {
		if strings.ContainsAny(name, "/\x00") || !strings.HasSuffix(name, ".sql") || name == ".sql" {
			return
		}
		dir := fstest.MapFS{name: {Data: []byte(text)}}
		sum, err := atlas.MigrationsSum(dir, "")
		if err != nil {
			return
		}
		dir["atlas.sum"] = &fstest.MapFile{Data: sum}
		s, err := atlas.Migrations(atlas.MigrationsConfig{FS: dir})
		if (s == nil) != (err != nil) {
			t.Fatalf("schema %v, error %v", s, err)
		}
		if err != nil {
			return
		}
		// What is divided into statements must be all of the file but comments, spaces and delimiters.
		statements, divided := atlas.Statements(s)
		if !divided {
			if strings.Contains(text, "atlas:txmode none") && strings.HasPrefix(text, "-- atlas:txmode none\n\n") {
				t.Errorf("%q has a transaction", text)
			}
			return
		}
		rest := text
		for _, statement := range statements {
			_, after, ok := strings.Cut(rest, strings.TrimSuffix(statement, ";"))
			if !ok {
				t.Fatalf("statement %q is not in the file %q", statement, text)
			}
			rest = after
		}
	})
}
