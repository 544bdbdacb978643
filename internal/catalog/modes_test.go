package catalog_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
)

// Guards: no sign-up with stock in hand got through in either.
func TestMainPathsRunWithoutTypesFromTheServer(t *testing.T) {
	t.Parallel()
	pgtest.InModes(t, "^(TestReserveTakesAWarmDatabaseAsItIs|TestAttemptsAreFreeAndThenWaitEverLonger|"+
		"TestASessionRotates|"+
		"TestAForgottenSignUpsKeyIsKnownForADay|TestStepsAreListedAsTheyWereBegun)$",
		pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol)
}
