package provision

import (
	"errors"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"
)

// The SQLSTATEs that are told apart; appendix A of PostgreSQL's documentation has all.
const (
	uniqueViolation      = "23505" // two sessions create one name at once
	invalidCatalogName   = "3D000" // no such database
	serializationFailure = "40001"
	undefinedObject      = "42704" // no such role
	undefinedTable       = "42P01"
	undefinedColumn      = "42703"
	undefinedFunction    = "42883"
	invalidSchemaName    = "3F000" // no such schema
	duplicateDatabase    = "42P04"
	duplicateObject      = "42710"
	objectInUse          = "55006" // the template has a session
	lockNotAvailable     = "55P03" // within lock_timeout
	internalError        = "XX000" // "tuple concurrently updated"
	dependentObjects     = "2BP01" // the role owns something, or may do something
	adminShutdown        = "57P01"
	crashShutdown        = "57P02"
	cannotConnectNow     = "57P03"
	connectionException  = "08" // a class
)

func isState(err error, codes ...string) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && slices.Contains(codes, pg.Code)
}
