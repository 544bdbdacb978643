package atlas_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"

	"ariga.io/atlas-go-sdk/atlasexec"
	"ariga.io/atlas/sql/migrate"
	"ariga.io/atlas/sql/postgres"
	"ariga.io/atlas/sql/schema"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// The environment of the stand-in for the atlas command.
const (
	actAsAtlas = "ACT_AS_ATLAS"
	secret     = "ACT_AS_ATLAS_SECRET" // must not be in the arguments
	lose       = "ACT_AS_ATLAS_LOSE"   // fail as if a connection were lost, and quote the URL
)

// standIn does what "atlas schema apply" does with the arguments of the SDK, by way of Atlas's library. It proves the
// arguments and the answer as this package reads them, and not what the command does with them.
func standIn(args []string) int {
	applied, err := standInApply(context.Background(), args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		return 1
	}
	if err := json.NewEncoder(os.Stdout).Encode(applied); err != nil {
		return 1
	}
	return 0
}

func standInApply(ctx context.Context, args []string) (*atlasexec.SchemaApply, error) {
	if len(args) < 2 || args[0] != "schema" || args[1] != "apply" {
		return nil, fmt.Errorf("unknown command %q", args)
	}
	if password := os.Getenv(secret); password == "" || strings.Contains(strings.Join(args, " "), password) {
		return nil, errors.New("the arguments hold the password")
	}
	flags := flag.NewFlagSet("apply", flag.ContinueOnError)
	format, schemas := flags.String("format", "", ""), flags.String("schema", "", "")
	config, env := flags.String("config", "", ""), flags.String("env", "", "")
	approve, dry := flags.Bool("auto-approve", false, ""), flags.Bool("dry-run", false, "")
	if err := flags.Parse(args[2:]); err != nil || flags.NArg() > 0 {
		return nil, fmt.Errorf("arguments %q: %w", flags.Args(), err)
	}
	if *format != "{{ json . }}" || *schemas != "public" || *approve == *dry {
		return nil, fmt.Errorf("arguments %q", args)
	}
	settings, err := readProject(strings.TrimPrefix(*config, "file://"), *env)
	if err != nil {
		return nil, err
	}
	if os.Getenv(lose) != "" {
		return nil, fmt.Errorf("cannot connect to %s", settings.url)
	}
	return settings.apply(ctx, *dry)
}

// project is what a project file says of one environment.
type project struct {
	url, src, dev string
	skip          []string
}

func readProject(path, env string) (*project, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	file, diagnostics := hclsyntax.ParseConfig(text, path, hcl.InitialPos)
	if diagnostics.HasErrors() {
		return nil, diagnostics
	}
	blocks := file.Body.(*hclsyntax.Body).Blocks
	if len(blocks) != 1 || blocks[0].Type != "env" || blocks[0].Labels[0] != env {
		return nil, fmt.Errorf("no environment %q", env)
	}
	getenv := function.New(&function.Spec{
		Params: []function.Parameter{{Name: "name", Type: cty.String}}, Type: function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			return cty.StringVal(os.Getenv(args[0].AsString())), nil
		},
	})
	p := &project{}
	for name, target := range map[string]*string{"url": &p.url, "src": &p.src, "dev": &p.dev} {
		if attribute, ok := blocks[0].Body.Attributes[name]; ok {
			functions := map[string]function.Function{"getenv": getenv}
			value, diagnostics := attribute.Expr.Value(&hcl.EvalContext{Functions: functions})
			if diagnostics.HasErrors() {
				return nil, diagnostics
			}
			*target = value.AsString()
		}
	}
	for name := range blocks[0].Body.Blocks[0].Body.Blocks[0].Body.Attributes { // diff { skip {
		p.skip = append(p.skip, name)
	}
	return p, nil
}

// skipped are the changes that the settings name.
func (p *project) skipped() (changes []schema.Change) {
	for name, change := range map[string]schema.Change{
		"drop_schema": &schema.DropSchema{}, "drop_table": &schema.DropTable{}, "drop_column": &schema.DropColumn{},
		"drop_foreign_key": &schema.DropForeignKey{},
	} {
		if slices.Contains(p.skip, name) {
			changes = append(changes, change)
		}
	}
	return changes
}

func (p *project) apply(ctx context.Context, dry bool) (*atlasexec.SchemaApply, error) {
	want, err := p.desired(ctx)
	if err != nil {
		return nil, err
	}
	cfg, err := pgx.ParseConfig(p.url)
	if err != nil {
		return nil, err
	}
	db := stdlib.OpenDB(*cfg)
	defer db.Close()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback() }()
	driver, have, err := inspectPublic(ctx, tx)
	if err != nil {
		return nil, err
	}
	changes, err := driver.SchemaDiff(have, want, schema.DiffNormalized(), schema.DiffSkipChanges(p.skipped()...))
	if err != nil {
		return nil, err
	}
	plan, err := driver.PlanChanges(ctx, "apply", changes)
	if err != nil {
		return nil, err
	}
	result := &atlasexec.SchemaApply{}
	for _, c := range plan.Changes {
		if dry {
			result.Changes.Pending = append(result.Changes.Pending, c.Cmd)
			continue
		}
		if _, err := tx.ExecContext(ctx, c.Cmd); err != nil {
			return nil, err
		}
		result.Changes.Applied = append(result.Changes.Applied, c.Cmd)
	}
	return result, tx.Commit()
}

// desired reads what the database is to become: another database, or a file with an empty dev database beside it.
func (p *project) desired(ctx context.Context) (*schema.Schema, error) {
	if path, ok := strings.CutPrefix(p.src, "file://"); ok {
		if p.dev == "" {
			return nil, errors.New("--dev-url cannot be empty")
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		want := &schema.Schema{}
		return want, postgres.EvalHCLBytes(text, want, nil)
	}
	cfg, err := pgx.ParseConfig(p.src)
	if err != nil {
		return nil, err
	}
	db := stdlib.OpenDB(*cfg)
	defer db.Close()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback() }()
	_, want, err := inspectPublic(ctx, tx)
	return want, err
}

func inspectPublic(ctx context.Context, db schema.ExecQuerier) (migrate.Driver, *schema.Schema, error) {
	driver, err := postgres.Open(db)
	if err != nil {
		return nil, nil, err
	}
	realm, err := driver.InspectRealm(ctx, &schema.InspectRealmOption{Schemas: []string{"public"}})
	if err != nil {
		return nil, nil, err
	}
	found, _ := realm.Schema("public")
	return driver, found, nil
}
