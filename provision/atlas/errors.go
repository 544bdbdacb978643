package atlas

import (
	"context"
	"errors"
	"strings"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
)

// ErrNoBinary is returned by CLI when there is no atlas command. SQL and HCL need none.
var ErrNoBinary = errors.New("atlas: no atlas command found: install it (https://atlasgo.io, or brew install atlas), " +
	"set CLIConfig.Binary, or use atlas.SQL or atlas.HCL, which need no command")

// ErrLocked is returned when another upgrade of the database is under way, for longer than Policy.LockTimeout.
var ErrLocked = errors.New("atlas: another upgrade of the database is under way")

// ErrNoRevisions is returned by an upgrade of [Migrations] when the database was not built by them, so that it is not
// known which files have run. Nothing was changed.
var ErrNoRevisions = errors.New("atlas: the database has no revisions: set MigrationsConfig.Baseline to the version " +
	"that it has")

// errPeriod is returned by an inspection that meets a foreign key with PERIOD. Atlas takes the constraint of a key
// WITHOUT OVERLAPS for an exclusion constraint, and finds those that refer to it too: its only query that fails so.
var errPeriod = errors.New("a foreign key has PERIOD, and Atlas's open library cannot read a database with one")

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
	// Objects are lines of a [fingerprint.Fingerprint]: "- " leads what only the database has, "+ " what only the schema
	// has.
	Objects []string
}

// Error names the objects.
func (e *UnsupportedError) Error() string {
	return "atlas: cannot change these without Config.Repeatable: " + strings.Join(e.Objects, "; ")
}

// redact returns err as it may be shown. What ends with ctx is ctx's own error, unless PostgreSQL had its say.
func redact(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil && pgerr.State(err) == "" {
		return ctx.Err()
	}
	return pgerr.Redact(err)
}
