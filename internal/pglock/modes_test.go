package pglock_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
)

// Guards: statements whose functions are chosen by the types of parameters.
func TestMainPathsRunWithoutTypesFromTheServer(t *testing.T) {
	t.Parallel()
	pgtest.InModes(t, "^(TestLockKeepsOthersOutUntilUnlock|TestLockEvictingStaleEndsAnIdleHolder|"+
		"TestLockEvictingIdleEndsOnlyAHolderThatIsIdleForLong)$",
		pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol)
}
