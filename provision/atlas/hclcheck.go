package atlas

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// block says what a block of Atlas's language may hold, as far as Atlas's open library does something with it.
type block struct {
	labels     []int // numbers of labels it may have
	attributes []string
	blocks     map[string]block
}

// language is what HCL accepts. A word that is not here has no effect in Atlas's open library, or is a typing error,
// and Atlas tells neither.
func language() block {
	none, one, oneOrNone, qualified := []int{0}, []int{1}, []int{0, 1}, []int{1, 2}
	part := block{none, []string{"column", "expr", "desc", "ops", "nulls_first", "nulls_last"}, nil}
	parts := map[string]block{"on": part}
	index := []string{"columns", "unique", "type", "where", "nulls_distinct", "page_per_range", "include", "comment"}
	column := block{one, []string{"null", "type", "default", "comment", "as"}, map[string]block{
		"identity": {none, []string{"generated", "start", "increment"}, nil},
		"as":       {none, []string{"expr", "type"}, nil},
	}}
	table := block{qualified, []string{"schema", "comment"}, map[string]block{
		"column":      column,
		"primary_key": {oneOrNone, []string{"columns", "include"}, parts},
		"foreign_key": {one, []string{"columns", "ref_columns", "on_update", "on_delete"}, nil},
		"index":       {one, index, parts},
		"unique":      {one, []string{"columns", "nulls_distinct", "include"}, nil},
		"check":       {one, []string{"expr"}, nil},
		"partition": {none, []string{"type", "columns"}, map[string]block{
			"by": {none, []string{"column", "expr"}, nil},
		}},
	}}
	return block{none, nil, map[string]block{
		"schema": {one, []string{"comment"}, nil},
		"table":  table,
		"enum":   {qualified, []string{"schema", "values"}, nil},
		"locals": {none, []string{anyAttribute}, nil},
	}}
}

// anyAttribute stands in a block whose attributes are the user's own.
const anyAttribute = "*"

// checkHCL refuses what the language does not have. The error names every place.
func checkHCL(files []file) error {
	var errs []error
	for _, f := range files {
		parsed, diagnostics := hclsyntax.ParseConfig([]byte(f.text), f.name, hcl.InitialPos)
		if diagnostics.HasErrors() {
			errs = append(errs, fmt.Errorf("atlas: HCL: %w", diagnostics))
			continue
		}
		if body, ok := parsed.Body.(*hclsyntax.Body); ok {
			errs = append(errs, checkBody(body, language(), "")...)
		}
	}
	return errors.Join(errs...)
}

// checkBody compares a block's body with what it may hold. path names the block in errors.
func checkBody(body *hclsyntax.Body, allowed block, path string) []error {
	var errs []error
	complain := func(at hcl.Range, format string, args ...any) {
		errs = append(errs, fmt.Errorf("atlas: HCL: %s:%d: %s", at.Filename, at.Start.Line, fmt.Sprintf(format, args...)))
	}
	for name, attribute := range body.Attributes {
		if !slices.Contains(allowed.attributes, name) && !slices.Contains(allowed.attributes, anyAttribute) {
			complain(attribute.SrcRange, "unknown attribute %q%s", name, path)
		}
	}
	for _, b := range body.Blocks {
		inner, ok := allowed.blocks[b.Type]
		switch {
		case !ok:
			complain(b.DefRange(), "unknown block %q%s", b.Type, path)
		case !slices.Contains(inner.labels, len(b.Labels)):
			complain(b.DefRange(), "block %q%s has %d labels", b.Type, path, len(b.Labels))
		case b.Type == "schema" && b.Labels[0] != public:
			complain(b.DefRange(), "schema %q: only %q is managed", b.Labels[0], public)
		default:
			errs = append(errs, checkBody(b.Body, inner, fmt.Sprintf(" in %s", b.Type))...)
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errs
}
