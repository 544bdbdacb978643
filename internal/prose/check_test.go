package prose_test

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/pgtenancy/pgtenancy/internal/prose"
)

func TestPhrasesAreFoundAlsoAcrossLines(t *testing.T) {
	for text, want := range map[string]int{
		"// This is the one that is older.":                        0,
		"// A role, and one that is older.":                        1,
		"// A role, and one\n// that is older.":                    1,
		"// Whoever takes it, and nobody waits.":                   2,
		"// Of two; who has it first wins.":                        1,
		"// It ends. Who waits for it is told so.":                 2,
		"// A user who has no password waits.":                     0,
		"// The caller holds the lock.":                            0,
		"var a = \"the caller is told\"":                           1,
		"var told = 1 // one":                                      0,
		"// It has not the\n// right.":                             1,
		"// one\n\n// that":                                        0,
		"// " + strings.Repeat("x", 118):                           1,
		"// " + strings.Repeat("é", 117):                           0,
		"var a = \"" + strings.Repeat("x", 118) + "\"":             0,
		"var a = `\n" + strings.Repeat("x", 130) + "\n`":           0,
		"a(" + strings.Repeat("x, ", 40) + "y) //nolint:all // it": 0,
	} {
		if got := prose.Go("package p\n\n"+text+"\n", false); len(got) != want {
			t.Errorf("%s: %v, want %d", text, got, want)
		}
	}
	if got := prose.Go("package p\n\nvar a = \"it is told\"\n", true); len(got) != 0 {
		t.Errorf("in a test: %v", got)
	}
}

func TestPagesAreCheckedOutsideOfCodeAndTables(t *testing.T) {
	long := strings.Repeat("word ", 25)
	for text, want := range map[string]int{
		"A role, and one\nthat is older.":        1,
		"A role, and one\n\nthat is older.":      0,
		"Say `one that` of it.":                  0,
		"```\none that\n" + long + "\n```":       0,
		"| " + long + " |":                       0,
		"| one that |":                           1,
		"| one |\n| that |":                      0,
		long:                                     1,
		"https://" + strings.Repeat("x", 120):    0,
		"[it](https://" + "example.org/whoever)": 0,
	} {
		if got := prose.Markdown(text); len(got) != want {
			t.Errorf("%s: %v, want %d", text, got, want)
		}
	}
}

// TestTheTreeIsWrittenPlainly reads every Go file and page of the repository.
func TestTheTreeIsWrittenPlainly(t *testing.T) {
	tree := os.DirFS("../..")
	files := 0
	counts := map[string]int{}
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "node_modules") {
				return fs.SkipDir
			}
			return nil
		}
		extension := path.Ext(name)
		if extension != ".go" && extension != ".md" || slices.Contains(exempt(), name) {
			return nil
		}
		text, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		files++
		var found []prose.Finding
		if extension == ".md" {
			found = prose.Markdown(string(text))
		} else {
			found = prose.Go(string(text), strings.HasSuffix(name, "_test.go"))
		}
		for _, f := range found {
			counts[path.Dir(name)]++
			t.Error(fmt.Sprintf("%s:%d:", name, f.Line), f.Text)
		}
		return nil
	})
	if err != nil || files < 500 {
		t.Fatalf("%d files read, %v", files, err)
	}
	if len(counts) > 0 {
		t.Logf("findings by folder: %v", counts)
	}
}

// exempt are the files that quote the phrases.
func exempt() []string {
	return []string{"CONTRIBUTING.md", "internal/prose/accent.go", "internal/prose/check_test.go"}
}
