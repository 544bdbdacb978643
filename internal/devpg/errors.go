package devpg

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

// ErrNotFound is returned by Start when DATABASE_URL is empty and this machine has no PostgreSQL programs. Its text
// is one line that says what to install.
var ErrNotFound = errors.New("devpg: no PostgreSQL found: install it (Debian, Ubuntu: apt-get install postgresql; " +
	"macOS: brew install postgresql) or set DATABASE_URL to an administrator's URL of a running server")

// ErrInUse is returned by Start when another server still runs in Config.Dir.
var ErrInUse = errors.New("devpg: another server is running in this directory")

// connectError says why a connection failed without wrapping the driver's error, which carries the whole
// configuration and with it the password. A context's error stays matchable.
func connectError(what string, err error) error {
	for _, cause := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, cause) {
			return fmt.Errorf("devpg: %s: %w", what, cause)
		}
	}
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		return fmt.Errorf("devpg: %s: server refused (SQLSTATE %s)", what, pgErr.Code)
	}
	return fmt.Errorf("devpg: %s: no answer from a PostgreSQL server", what)
}
