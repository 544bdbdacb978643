package provision_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
)

// Guards: a sign-up that preferred a warm database failed.
func TestMainPathsRunWithoutTypesFromTheServer(t *testing.T) {
	t.Parallel()
	pgtest.InModes(t, "^(TestCreateMakesAUsableTenant|TestSignUpTakesAWarmDatabase|"+
		"TestReconcilerOpensAndClosesAccessAsTheRowsSay)$",
		pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol)
}
