package secrecy_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
)

// Nothing that a program can get hold of gives a secret away when it is printed, logged or encoded. The list of types
// is the parser's, so that a new one without an entry fails.
func TestNothingExportedPrintsASecret(t *testing.T) {
	t.Parallel()
	known, plants := types(), newPlanter(t)
	looked, hits := 0, 0
	for _, dir := range []string{
		"tenancy", "registry", "registry/keyring", "internal/catalog", "internal/regdb", "provision", "provision/atlas", "fleet",
		"provision/fingerprint", "authn", "authn/accounts", "authn/jwks", "middleware",
	} {
		for _, name := range exportedStructs(t, dir) {
			name = dir + "." + name
			v, ok := known[name]
			if !ok {
				t.Errorf("%s is not looked at", name)
				continue
			}
			looked++
			for form, text := range prints(plants.in(v)) {
				for _, secret := range []string{
					"planted", "112 108 97 110 116", "0x70, 0x6c, 0x61", "706c616e", "706C616E",
					"cGxhbnRlZ",
				} {
					if strings.Contains(text, secret) {
						hits++
						t.Errorf("%s under %s: %q is in %.200s", name, form, secret, text)
					}
				}
			}
			delete(known, name)
		}
	}
	for name := range known {
		t.Errorf("%s is no exported struct any more", name)
	}
	pgtest.Figure(t, "S14", "%d exported types in %d forms each: %d hits", looked, len(prints(struct{}{})), hits)
}

// prints returns what v looks like, on its own, behind a pointer and in another value, under every verb and in a log.
func prints(v any) map[string]string {
	forms := map[string]string{}
	pointer := reflect.New(reflect.TypeOf(v))
	pointer.Elem().Set(reflect.ValueOf(v))
	for how, v := range map[string]any{"": v, "*": pointer.Interface(), "in a struct ": struct{ V any }{v}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			forms[how+verb] = fmt.Sprintf(verb, v)
		}
		text, err := json.Marshal(v)
		forms[how+"JSON"] = fmt.Sprint(string(text), err)
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("", "v", v)
		forms[how+"slog text"] = log.String()
		log.Reset()
		slog.New(slog.NewJSONHandler(&log, nil)).Info("", "v", v)
		forms[how+"slog JSON"] = log.String()
	}
	return forms
}

func exportedStructs(t *testing.T, dir string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %d files, %v", dir, len(files), err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			for _, spec := range specs(d) {
				s, ok := spec.(*ast.TypeSpec)
				if _, isStruct := s.Type.(*ast.StructType); ok && isStruct && s.Name.IsExported() {
					names = append(names, s.Name.Name)
				}
			}
		}
	}
	return names
}

// specs returns the type declarations of d.
func specs(d ast.Decl) []ast.Spec {
	if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.TYPE {
		return g.Specs
	}
	return nil
}
