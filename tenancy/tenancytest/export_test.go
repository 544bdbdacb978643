package tenancytest

import (
	"context"
	"testing"
)

// Run returns how the names of this process's databases and roles begin.
func Run(tb testing.TB) string { return theServer(tb).run + "_" }

// Names lists all databases and roles whose names begin so.
func Names(tb testing.TB, prefix string) []string {
	tb.Helper()
	names, err := theServer(tb).list(context.WithoutCancel(tb.Context()), `SELECT datname FROM pg_database
		WHERE starts_with(datname, $1) UNION ALL SELECT rolname FROM pg_roles WHERE starts_with(rolname, $1)`, prefix)
	if err != nil {
		tb.Fatal(err)
	}
	return names
}
