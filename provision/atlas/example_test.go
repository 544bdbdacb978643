package atlas_test

import (
	"errors"
	"fmt"
	"testing/fstest"

	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/provision/atlas"
)

func ExampleSQL() {
	files := fstest.MapFS{ // or an embed.FS
		"schema/1_members.sql": {Data: []byte("CREATE TABLE members (id bigint PRIMARY KEY, nick text);")},
		"schema/views.sql":     {Data: []byte("CREATE OR REPLACE VIEW nicks AS SELECT nick FROM members;")},
	}
	schema, err := atlas.SQL(atlas.Config{
		FS:         files,
		Files:      []string{"schema/1_*.sql"},
		Repeatable: []string{"schema/views.sql"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(schema.Hash())
	// Output:
	// 68cb2fe4886fadbfbfabc3ab465b5b57
}

func ExampleHCL() {
	_, err := atlas.HCL(atlas.Config{Text: `
schema "public" {}
table "members" {
  schema = schema.public
  column "id" { type = bigint }
  column "nick" { type = text }
  index "members_nick" {
    columns = [column.nick]
    uniqe   = true
  }
}`})
	fmt.Println(err)
	// Output:
	// atlas: HCL: schema:9: unknown attribute "uniqe" in index
}

// A destructive change has to be allowed by its name.
func ExampleSQL_destructive() {
	var err error = &provision.DestructiveError{Changes: []provision.Change{{
		Name:        "drop column members.nick",
		Destructive: true,
	}}}
	policy := provision.Policy{}
	if refused := (*provision.DestructiveError)(nil); errors.As(err, &refused) {
		for _, change := range refused.Changes { // after someone looked at them
			policy.Allow = append(policy.Allow, change.Name)
		}
	}
	fmt.Println(policy.Allow)
	// Output:
	// [drop column members.nick]
}

func ExampleCLI() {
	_, err := atlas.CLI(atlas.CLIConfig{
		Config: atlas.Config{Text: "CREATE TABLE members (id bigint PRIMARY KEY);"},
		Binary: "/nowhere/atlas",
	})
	fmt.Println(errors.Is(err, atlas.ErrNoBinary))
	// Output:
	// true
}

func ExampleMigrations() {
	files := fstest.MapFS{ // or an embed.FS
		"migrations/20260101_members.sql": {Data: []byte("CREATE TABLE members (id bigint PRIMARY KEY, nick text);\n")},
		"migrations/20260301_index.sql": {Data: []byte("-- atlas:txmode none\n\nCREATE INDEX CONCURRENTLY members_nick " +
			"ON members (nick);\n")},
	}
	_, err := atlas.Migrations(atlas.MigrationsConfig{FS: files, Dir: "migrations"})
	fmt.Println(err)

	sum, err := atlas.MigrationsSum(files, "migrations") // belongs into the repository, beside the files
	if err != nil {
		fmt.Println(err)
		return
	}
	files["migrations/atlas.sum"] = &fstest.MapFile{Data: sum}
	schema, err := atlas.Migrations(atlas.MigrationsConfig{FS: files, Dir: "migrations"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(schema.Hash())
	// Output:
	// atlas: migrations: there is no atlas.sum: MigrationsSum and "atlas migrate hash" make it
	// 7916035b09801917eff1ce3e1e6e17cf
}

// A file that was run must stay as it was.
func ExampleHistoryError() {
	var err error = &atlas.HistoryError{Problems: []string{"20260101_members.sql was edited after it was run"}}
	if changed := (*atlas.HistoryError)(nil); errors.As(err, &changed) {
		for _, problem := range changed.Problems {
			fmt.Println(problem)
		}
	}
	// Output:
	// 20260101_members.sql was edited after it was run
}
