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

	// ErrInvalidToken is returned for a token from an e-mail that is unknown, used, expired or for something else.
	ErrInvalidToken error = status.Field("registry: invalid token", "token", "has expired or was used")

	// ErrInvalidTicket is returned for a ticket that is expired, for something else or not signed, or of another
	// password than the present one.
	ErrInvalidTicket error = status.New(status.Unauthorized, "registry: invalid ticket", "Please sign in again.")

	// ErrLastPrimary is returned when a tenant would be left without an admin whose role is registry.RolePrimary.
	ErrLastPrimary error = status.New(status.Conflict, "registry: last admin with role PRIMARY",
		"The last primary admin must stay. Give another admin that role first.")

	// ErrInvalidSession is returned for a refresh token that opens no session: unknown, malformed, expired or revoked.
	ErrInvalidSession error = status.New(status.Unauthorized, "registry: invalid session",
		"The session has ended. Sign in again.")

	// ErrSessionReused is returned when a refresh token was used again after its grace; its session is revoked. It
	// matches ErrInvalidSession too.
	ErrSessionReused = fmt.Errorf("%w: refresh token used again", ErrInvalidSession)
)
