package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestEveryMutantIsOfTheCodeThatIsThere finds out in make test what make mutants would stop at.
func TestEveryMutantIsOfTheCodeThatIsThere(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, m := range all() {
		if names[m.name] {
			t.Errorf("%s: twice", m.name)
		}
		names[m.name] = true
		text, err := os.ReadFile(filepath.Join("../..", m.file))
		if err != nil {
			t.Errorf("%s: %v", m.name, err)
			continue
		}
		if n := strings.Count(string(text), m.old); n != 1 {
			t.Errorf("%s: what it changes is in %s %d times, want once", m.name, m.file, n)
		}
	}
}
