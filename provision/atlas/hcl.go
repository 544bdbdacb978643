package atlas

import (
	"context"
	"errors"
	"fmt"

	"ariga.io/atlas/sql/postgres"
	"ariga.io/atlas/sql/schema"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/provision"
)

// HCL returns the schema that cfg describes in Atlas's language, evaluated in the process. The files are read and
// checked now. An error names each field of cfg, and each attribute and block of the files, that is wrong.
//
// What Atlas's open evaluator would pass over without a word is refused: "uniqe = true" would otherwise give an index
// that is not unique. The blocks are schema (only "public"), table, enum and locals, with the attributes that this
// package knows.
//
// Build makes the tables in an empty database, then runs the repeatable files; Upgrade is described in the package
// comment.
func HCL(cfg Config) (provision.Schema, error) {
	src, err := cfg.read("hcl")
	if err != nil {
		return nil, err
	}
	if err := checkHCL(src.files); err != nil {
		return nil, err
	}
	if _, err := evaluate(src.files); err != nil {
		return nil, err
	}
	return &declarative{source: src, build: func(ctx context.Context, db *pgx.ConnConfig) error {
		if err := buildHCL(ctx, db, src); err != nil {
			return fmt.Errorf("atlas: build: %w", err)
		}
		return nil
	}}, nil
}

// evaluate returns the schema public that files describe. Each call makes a value of its own: planning may change it.
func evaluate(files []file) (*schema.Schema, error) {
	parser := hclparse.NewParser()
	for _, f := range files {
		if _, diagnostics := parser.ParseHCL([]byte(f.text), f.name); diagnostics.HasErrors() {
			return nil, fmt.Errorf("atlas: HCL: %w", diagnostics)
		}
	}
	realm := &schema.Realm{}
	if err := postgres.EvalHCL.Eval(parser, realm, nil); err != nil {
		return nil, fmt.Errorf("atlas: HCL: %w", err)
	}
	found, ok := realm.Schema(public)
	if !ok {
		return nil, errors.New(`atlas: HCL: there is no block schema "public"`)
	}
	return found, nil
}

// buildHCL makes what src describes in the empty database of cfg, in one transaction.
func buildHCL(ctx context.Context, cfg *pgx.ConnConfig, src source) error {
	want, err := evaluate(src.files)
	if err != nil {
		return err
	}
	s, err := begin(ctx, cfg)
	if err != nil {
		return err
	}
	defer s.close()
	driver, have, err := s.inspect(ctx)
	if err != nil {
		return redact(ctx, err)
	}
	changes, err := postgres.DefaultDiff.SchemaDiff(have, want)
	if err != nil {
		return redact(ctx, err)
	}
	planned, err := driver.PlanChanges(ctx, "build", changes)
	if err != nil {
		return redact(ctx, err)
	}
	p := &plan{statements: planned.Changes}
	return s.apply(ctx, p, src.repeatable, func(context.Context, *pgx.Conn) error { return nil })
}
