package catalog

import (
	"errors"
	"fmt"

	"github.com/pgtenancy/pgtenancy/internal/status"
)

var (
	// ErrNotWanted is returned by PlanWarm when no warm database is to be made there now.
	ErrNotWanted = errors.New("registry: no warm database is wanted now")

	// ErrClaimLost is returned by a write under a claim that another process has taken over.
	ErrClaimLost error = status.New(status.Unavailable, "registry: claim lost", "")

	// ErrInvalidSession is returned for a refresh token that opens no session: unknown, malformed, expired or revoked.
	ErrInvalidSession error = status.New(status.Unauthorized, "registry: invalid session",
		"The session has ended. Sign in again.")

	// ErrSessionReused is returned when a refresh token was used again after its grace; its session is revoked. It
	// matches ErrInvalidSession too.
	ErrSessionReused = fmt.Errorf("%w: refresh token used again", ErrInvalidSession)
)
