package devpg

import (
	"errors"
	"fmt"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
)

// ErrNotFound is returned by Start when DATABASE_URL is empty, this machine has no PostgreSQL programs, and there is no
// prebuilt one or it could not be fetched. Its text is one line that says what to install.
var ErrNotFound = errors.New("devpg: no PostgreSQL found: install it (Debian, Ubuntu: apt-get install postgresql; " +
	"macOS: brew install postgresql) or set DATABASE_URL to an administrator's URL of a running server")

// ErrInUse is returned by Start when another server still runs in Config.Dir.
var ErrInUse = errors.New("devpg: another server is running in this directory")

// connectError says why a connection failed. A context's error stays matchable.
func connectError(what string, err error) error {
	return fmt.Errorf("devpg: %s: %w", what, pgerr.Reduce(err))
}
