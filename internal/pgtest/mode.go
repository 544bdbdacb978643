package pgtest

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

const modeVar = "PGTENANCY_EXEC_MODE"

// ExecMode returns how pgx runs the statements of the tests: as PGTENANCY_EXEC_MODE says, spelled as in a connection
// string, or zero, which is pgx's default.
func ExecMode(tb testing.TB) pgx.QueryExecMode {
	tb.Helper()
	name := os.Getenv(modeVar)
	for _, mode := range ExecModes() {
		if ModeName(mode) == name {
			return mode
		}
	}
	if name != "" {
		tb.Fatalf("pgtest: %s: pgx has no mode %q", modeVar, name)
	}
	return 0
}

// ExecModes returns the ways in which pgx runs statements.
func ExecModes() []pgx.QueryExecMode {
	return []pgx.QueryExecMode{
		pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec,
		pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
	}
}

// ModeName spells mode as in a connection string's default_query_exec_mode.
func ModeName(mode pgx.QueryExecMode) string { return strings.ReplaceAll(mode.String(), " ", "_") }

// InModes runs the tests that pattern names once more in each of the modes, on a server of their own. It runs this very
// program again, so that it costs no build.
func InModes(t *testing.T, pattern string, modes ...pgx.QueryExecMode) {
	t.Helper()
	for _, mode := range modes {
		t.Run(ModeName(mode), func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run="+pattern, "-test.v", "-test.timeout=5m") //nolint:gosec // this test binary
			cmd.Env = append(os.Environ(), modeVar+"="+ModeName(mode))
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "--- PASS") || strings.Contains(string(out), "--- SKIP") {
				t.Errorf("%v:\n%s", err, out)
			}
		})
	}
}
