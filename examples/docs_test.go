package examples_test

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// named is a test as the pages name it: `package.TestName`, `TestName` of the package named before, a `TestName…` that
// stands for several, or `package.TestName/part`.
var named = regexp.MustCompile("`(?:([a-z][a-z0-9/]*)\\.)?((?:Test|Fuzz|Example)[A-Z]\\w*)(…?)(?:/([^`]+))?`")

// TestTestsThatThePagesNameExist reads every page, and the names of all tests.
func TestTestsThatThePagesNameExist(t *testing.T) {
	t.Parallel()
	sources := testSources(t)
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil || len(pages) < 5 {
		t.Fatalf("pages %q, %v", pages, err)
	}
	found := 0
	for _, page := range append(pages, "../README.md", "../SECURITY.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		pkg := ""
		for _, m := range named.FindAllStringSubmatch(string(text), -1) {
			if m[1] != "" {
				pkg = m[1]
			}
			found++
			if !exists(sources, pkg, m[2], m[3] != "", m[4]) {
				t.Errorf("%s names %s, of package %q, which is not there", filepath.Base(page), m[0], pkg)
			}
		}
	}
	if found < 50 {
		t.Errorf("only %d tests are named", found)
	}
}

// testSources returns the text of all test files, by directory.
func testSources(t *testing.T) map[string]string {
	t.Helper()
	sources := map[string]string{}
	tree := os.DirFS("..")
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && name != "." {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, "_test.go") {
			return nil
		}
		text, err := fs.ReadFile(tree, name)
		sources[path.Dir(name)] += string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sources
}

// exists reports whether a package has the test; its directory ends in pkg.
func exists(sources map[string]string, pkg, name string, prefix bool, part string) bool {
	end := "("
	if prefix {
		end = ""
	}
	for dir, text := range sources {
		if pkg != "" && !strings.HasSuffix("/"+dir, "/"+pkg) || !strings.Contains(text, "\nfunc "+name+end) {
			continue
		}
		if part == "" || strings.Contains(text, `"`+part+`"`) {
			return true
		}
	}
	return false
}
