package pgerr

import (
	"errors"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"
)

// The SQLSTATEs that callers tell apart; appendix A of PostgreSQL's documentation has all.
const (
	ConnectionException   = "08"    // a class
	ProtocolViolation     = "08P01" // what PgBouncer says of everything
	CardinalityViolation  = "21000"
	DivisionByZero        = "22012"
	BadCharacters         = "22021" // character_not_in_repertoire
	NotNullViolation      = "23502"
	ForeignKeyViolation   = "23503"
	UniqueViolation       = "23505"
	ReadOnlyTransaction   = "25006"
	SilentTooLong         = "25P03" // idle_in_transaction_session_timeout
	InvalidAuthorization  = "28000"
	InvalidPassword       = "28P01"
	DependentObjects      = "2BP01"
	InvalidCatalogName    = "3D000" // no such database
	InvalidSchemaName     = "3F000"
	SerializationFailure  = "40001"
	DeadlockDetected      = "40P01"
	InsufficientPrivilege = "42501"
	SyntaxError           = "42601"
	UndefinedColumn       = "42703"
	UndefinedObject       = "42704" // no such role
	DuplicateObject       = "42710"
	UndefinedFunction     = "42883"
	UndefinedTable        = "42P01"
	DuplicateDatabase     = "42P04"
	NotInState            = "55000" // object_not_in_prerequisite_state
	ObjectInUse           = "55006" // the template has a session
	LockNotAvailable      = "55P03"
	QueryCanceled         = "57014"
	AdminShutdown         = "57P01"
	CrashShutdown         = "57P02"
	CannotConnectNow      = "57P03"
	InternalError         = "XX000" // "tuple concurrently updated"
)

// State returns the SQLSTATE of err, reduced or not, or nothing if the server said nothing.
func State(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}

// IsState reports whether err has one of the SQLSTATEs.
func IsState(err error, codes ...string) bool {
	code := State(err)
	return code != "" && slices.Contains(codes, code)
}

// Violated returns the name of the unique constraint that err, reduced or not, says was violated.
func Violated(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == UniqueViolation {
		return pg.ConstraintName
	}
	return ""
}
