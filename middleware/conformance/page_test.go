package conformance_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// Each block of docs/frameworks.md stands in a test, apart from its indentation.
func TestPageShowsWhatIsTested(t *testing.T) {
	var tested string
	for _, file := range []string{"routers_test.go", "rpc_test.go"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		tested += unindented(string(text))
	}
	page, err := os.ReadFile("../../docs/frameworks.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	if len(blocks) < 12 {
		t.Errorf("%d blocks", len(blocks))
	}
	for _, block := range blocks {
		if !strings.Contains(tested, unindented(block[1])) {
			t.Errorf("in no test:\n%s", block[1])
		}
	}
}

func unindented(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSpace(line)
	}
	return strings.Join(lines, "\n") + "\n"
}
