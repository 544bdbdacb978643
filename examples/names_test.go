package examples_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// goName is a name of ours as the pages write it: `provision.Config.Seed`, `tenancy.New(cfg)`, `Config.Seed`, and
// `provision.Create` for the method of a Provisioner.
var goName = regexp.MustCompile("`(?:\\*)?(?:([a-z]+)\\.)?([A-Z]\\w*)(?:\\.([A-Z]\\w*))?[^`]*`")

// TestNamesThatThePagesUseExist reads every page, and the declarations of every package.
func TestNamesThatThePagesUseExist(t *testing.T) {
	t.Parallel()
	declared := map[string]map[string]bool{}
	for _, dir := range []string{
		"tenancy", "tenancy/tenancytest", "registry", "registry/keyring", "internal/catalog",
		"provision", "provision/fingerprint", "provision/atlas",
		"authn", "authn/accounts", "authn/jwks", "fleet", "middleware",
	} {
		declared[filepath.Base(dir)] = declarations(t, filepath.Join("..", dir))
	}
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, page := range append(pages, "../README.md", "../SECURITY.md", "../CONTRIBUTING.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range goName.FindAllStringSubmatch(string(text), -1) {
			name := strings.TrimSuffix(m[2]+"."+m[3], ".")
			_, ours := declared[m[1]]
			member := m[1] == "" && m[3] != "" && m[2] != "Base" && m[2] != "PgError" // these two lead to pgx's names
			if !ours && !member || regexp.MustCompile(`^(Test|Fuzz|Example)[A-Z]`).MatchString(name) {
				continue
			}
			found++
			exists := declared[m[1]][name]
			for _, names := range declared {
				exists = exists || member && names[name]
			}
			if !exists {
				t.Errorf("%s: %s is not declared", filepath.Base(page), m[0])
			}
		}
	}
	if found < 50 {
		t.Errorf("only %d names", found)
	}
}

// declarations returns the names that a package declares: F, T, T.Method, T.Field, and Method.
func declarations(t *testing.T, dir string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %v", dir, err)
	}
	names := map[string]bool{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range tree.Decls {
			declare(names, d)
		}
	}
	return names
}

func declare(names map[string]bool, d ast.Decl) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		names[receiver(d)+d.Name.Name], names[d.Name.Name] = true, true
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.ValueSpec:
				for _, name := range s.Names {
					names[name.Name] = true
				}
			case *ast.TypeSpec:
				names[s.Name.Name] = true
				for _, field := range fields(s.Type) {
					for _, name := range field.Names {
						names[s.Name.Name+"."+name.Name] = true
					}
				}
			}
		}
	}
}

// receiver returns "T." for a method of T or *T.
func receiver(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return ""
	}
	of := d.Recv.List[0].Type
	if star, ok := of.(*ast.StarExpr); ok {
		of = star.X
	}
	if name, ok := of.(*ast.Ident); ok {
		return name.Name + "."
	}
	return ""
}

func fields(of ast.Expr) []*ast.Field {
	switch of := of.(type) {
	case *ast.StructType:
		return of.Fields.List
	case *ast.InterfaceType:
		return of.Methods.List
	}
	return nil
}
