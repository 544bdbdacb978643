package examples_test

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
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
	found := 0
	for _, page := range pages(t) {
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

// link is a Markdown link or picture to a file of this repository; its label may be a test.
var link = regexp.MustCompile("(?:\\[(?:`(Test\\w+)`)?[^]]*\\]\\(|src=\")([a-zA-Z.][^):# \"]*)[#)\"]")

// block is Go's code, in which a call of a generic function looks like a link.
var block = regexp.MustCompile("(?s)```go\n.*?```")

// TestFilesThatThePagesLinkToExist follows every link inside the repository. A link whose text is a test leads to the
// file that has it.
func TestFilesThatThePagesLinkToExist(t *testing.T) {
	t.Parallel()
	found := 0
	for _, page := range pages(t) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(block.ReplaceAllString(string(text), ""), -1) {
			found++
			target := filepath.Join(filepath.Dir(page), m[2])
			info, err := os.Stat(target)
			if err != nil || info.IsDir() {
				if err != nil {
					t.Errorf("%s links to %s, which is not there", page, m[2])
				}
				continue
			}
			source, err := os.ReadFile(target)
			if err != nil {
				t.Fatal(err)
			}
			if m[1] != "" && !strings.Contains(string(source), "\nfunc "+m[1]+"(") {
				t.Errorf("%s links to %s for %s, which is not in that file", page, m[2], m[1])
			}
		}
	}
	if found < 50 {
		t.Errorf("only %d links were found", found)
	}
}

// pages returns the paths of all pages.
func pages(t *testing.T) []string {
	t.Helper()
	docs, err := filepath.Glob("../docs/*.md")
	if err != nil || len(docs) < 5 {
		t.Fatalf("pages %q, %v", docs, err)
	}
	decisions, err := filepath.Glob("../docs/decisions/*.md")
	if err != nil || len(decisions) < 5 {
		t.Fatalf("decisions %q, %v", decisions, err)
	}
	return slices.Concat(docs, decisions, []string{"../README.md", "../SECURITY.md", "../CONTRIBUTING.md"})
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
