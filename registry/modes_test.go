package registry_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
)

// Guards: Follow told nothing in the simple protocol, and no sign-up with stock in hand got through in either.
func TestMainPathsRunWithoutTypesFromTheServer(t *testing.T) {
	t.Parallel()
	pgtest.InModes(t, "^(TestFollowTellsOfEveryKindOfChange|TestFollowTellsARevokerOfClosedSessions|TestReserveTakesAWarmDatabaseAsItIs|"+
		"TestWhatOldKeysWroteIsStillReadAndUnknownKeysAreAnError|TestAttemptsAreFreeAndThenWaitEverLonger|TestASessionRotates|"+
		"TestNewcomerWaitsUntilTheOthersHaveLetGo|TestAForgottenSignUpsKeyIsKnownForADay|TestStepsAreListedAsTheyWereBegun)$",
		pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol)
}
