package registry_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
)

// Guards: Follow told nothing in the simple protocol.
func TestMainPathsRunWithoutTypesFromTheServer(t *testing.T) {
	t.Parallel()
	pgtest.InModes(t, "^(TestFollowTellsOfEveryKindOfChange|TestFollowTellsARevokerOfClosedSessions|"+
		"TestWhatOldKeysWroteIsStillReadAndUnknownKeysAreAnError|TestNewcomerWaitsUntilTheOthersHaveLetGo)$",
		pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol)
}
