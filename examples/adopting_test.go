package examples_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestAdoptingShowsCodeThatRuns compares each block of docs/adopting.md with the programs that it is from, and their
// sizes with what the page and README say.
func TestAdoptingShowsCodeThatRuns(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/adopting.md")
	if err != nil {
		t.Fatal(err)
	}
	var sources []string
	for _, pattern := range []string{"saas/*.go", "split/*.go", "split/*.sql"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			sources = append(sources, "\n"+string(text))
		}
	}
	blocks := regexp.MustCompile("(?s)```(?:go|sql)\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	if len(blocks) != 5 {
		t.Errorf("%d blocks of code", len(blocks))
	}
	for i, block := range blocks {
		found := false
		for _, source := range sources {
			found = found || strings.Contains(source, "\n"+block[1])
		}
		if !found {
			t.Errorf("block %d is in no program:\n%s", i+1, block[1])
		}
	}
	if lines := strings.Count(blocks[0][1], "\n"); lines >= 60 {
		t.Errorf("the wiring has %d lines", lines)
	}
	if program, err := os.ReadFile("saas/main.go"); err != nil || strings.Count(string(program), "\n") > 120 {
		t.Errorf("examples/saas has %d lines, %v", strings.Count(string(program), "\n"), err)
	}
}
