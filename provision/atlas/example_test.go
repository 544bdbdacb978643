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
	var err error = &provision.DestructiveError{Changes: []provision.Change{{Name: "drop column members.nick", Destructive: true}}}
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
