package tenancytest_test

import (
	"os/exec"
	"strings"
	"testing"
)

// What a program of a user's imports must not bring package testing along: it registers flags.
func TestNoOtherPackageImportsTesting(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-f", "{{.ImportPath}}: {{join .Imports \" \"}} ", "../../...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := strings.Split(strings.TrimSpace(string(out)), "\n")
	var with []string
	for _, line := range packages {
		if strings.Contains(line, " testing ") || strings.Contains(line, "/tenancytest ") {
			name, _, _ := strings.Cut(line, ":")
			with = append(with, strings.TrimPrefix(name, "github.com/pgtenancy/pgtenancy/"))
		}
	}
	if got := strings.Join(with, " "); got != "internal/pgtest tenancy/tenancytest" || len(packages) < 20 {
		t.Errorf("of %d packages, these import testing or the kit: %s", len(packages), got)
	}
}
