package pgtest

import (
	"fmt"
	"os"
	"testing"
)

// Full reports whether tests run in their long form: PGTENANCY_TESTS is "full", as make soak, crash and attack set it.
func Full() bool { return os.Getenv("PGTENANCY_TESTS") == "full" }

// Size returns how much a test does: short as a rule, full in the long form.
func Size[T any](short, full T) T {
	if Full() {
		return full
	}
	return short
}

// Figure reports what a test measured; id is the experiment's, as in docs/experiments.md. Defer it, so that it sees
// whether the test failed. It goes to the test's log and, in the long form, to the file that PGTENANCY_FIGURES names,
// of which make prints a table.
func Figure(tb testing.TB, id, format string, args ...any) {
	tb.Helper()
	text := fmt.Sprintf(format, args...)
	tb.Logf("figure %s: %s", id, text)
	path := os.Getenv("PGTENANCY_FIGURES")
	if path == "" {
		return
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600) //nolint:gosec // the tests' caller names it
	if err != nil {
		tb.Errorf("pgtest: figure: %v", err)
		return
	}
	defer f.Close()
	verdict := "held"
	if tb.Failed() {
		verdict = "MISSED"
	}
	if _, err := fmt.Fprintf(f, "%s\t%s\t%s\t%s\n", id, verdict, tb.Name(), text); err != nil {
		tb.Errorf("pgtest: figure: %v", err)
	}
}
