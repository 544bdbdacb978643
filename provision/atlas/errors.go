package atlas

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// ErrNoBinary is returned by CLI when there is no atlas command. SQL and HCL need none.
var ErrNoBinary = errors.New("atlas: no atlas command found: install it (https://atlasgo.io, or brew install atlas), " +
	"set CLIConfig.Binary, or use atlas.SQL or atlas.HCL, which need no command")

// ErrLocked is returned when another upgrade of the database is under way, for longer than Policy.LockTimeout.
var ErrLocked = errors.New("atlas: another upgrade of the database is under way")

// ErrNoRevisions is returned by an upgrade of [Migrations] when the database was not built by them: what it has had is
// not known. Nothing was changed.
var ErrNoRevisions = errors.New("atlas: the database has no revisions: set MigrationsConfig.Baseline to the version that it has")

// errPeriod is what an inspection ends with that meets a foreign key with PERIOD. Atlas takes the one constraint of a key
// WITHOUT OVERLAPS for an exclusion's, and finds those that refer to it, too: it is its only query that can end so.
var errPeriod = errors.New("a foreign key has PERIOD, and Atlas's open library cannot read a database with one")

const cardinalityViolation = "21000"

// HistoryError says that the files of a directory are not those that were run in a database. Nothing was changed.
type HistoryError struct {
	Problems []string // a file each: "2_nick.sql was edited after it was run"
}

// Error names the files.
func (e *HistoryError) Error() string {
	return "atlas: migrations: " + strings.Join(e.Problems, "; ")
}

// UnsupportedError says that the schema and the database differ in objects that Atlas's open library cannot change.
// Nothing was changed. Put the objects into Config.Repeatable.
type UnsupportedError struct {
	// Objects are lines of a Fingerprint: "- " leads what only the database has, "+ " what only the schema has.
	Objects []string
}

// Error names the objects.
func (e *UnsupportedError) Error() string {
	return "atlas: cannot change these without Config.Repeatable: " + strings.Join(e.Objects, "; ")
}

// redact returns err without what an error of a driver may hold beyond its cause: a connection's settings, row
// values, the text of a statement. A *pgconn.PgError without these, and the end of ctx, can still be found in it.
func redact(ctx context.Context, err error) error {
	var pg *pgconn.PgError
	var connect *pgconn.ConnectError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &pg):
		return strip(pg)
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.Is(err, context.DeadlineExceeded):
		return context.DeadlineExceeded
	case errors.As(err, &connect):
		return errors.New("no connection")
	}
	return err
}

// strip keeps of a server's error its code and names. The message is kept for the classes whose messages speak of
// objects and states; those of data exceptions (22), constraints (23), raised exceptions (P0) and syntax errors quote
// values or texts.
func strip(e *pgconn.PgError) *pgconn.PgError {
	kept := &pgconn.PgError{
		Severity: e.Severity, Code: e.Code, Message: "refused", Position: e.Position,
		SchemaName: e.SchemaName, TableName: e.TableName, ColumnName: e.ColumnName, ConstraintName: e.ConstraintName,
	}
	switch {
	case e.ConstraintName != "":
		kept.Message = fmt.Sprintf("constraint %q", e.ConstraintName)
	case e.Code == "42601":
		kept.Message = "syntax error"
	case e.Code == "23502":
		kept.Message = fmt.Sprintf("null value in column %q", e.ColumnName)
	case len(e.Code) == 5 && strings.Contains("0A 25 28 2B 3D 3F 40 42 53 54 55 57", e.Code[:2]):
		kept.Message = e.Message
	}
	return kept
}
