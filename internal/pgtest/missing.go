package pgtest

import (
	"os"
	"testing"
)

// Missing ends a test that needs a program which this machine does not have, other than PostgreSQL's server, which it
// always has. It skips the test, and says why; where the environment has CI, it fails the test.
func Missing(tb testing.TB, why string) {
	tb.Helper()
	if InCI() {
		tb.Fatal(why)
	}
	tb.Skip(why)
}

// InCI reports whether the environment has CI, as scripts/ensure.sh reads it.
func InCI() bool {
	ci := os.Getenv("CI")
	return ci != "" && ci != "false"
}
