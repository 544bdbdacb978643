package registry

import (
	"errors"
	"fmt"

	"github.com/pgtenancy/pgtenancy/internal/status"
)

// endedSession is what a client is told whose session, or whose admin, is no more.
const endedSession = "The session has ended. Sign in again."

// The sentinels know their status in HTTP: see middleware.StatusCode. ErrNotWanted and ErrWrongKeys are for operators.
var (
	// ErrInvalidEmail is returned for an address that is not accepted. The error does not hold the address.
	ErrInvalidEmail error = status.Field("registry: invalid e-mail address", "email", "must be an e-mail address")

	// ErrEmailTaken is returned by Reserve when the e-mail belongs to a tenant already, in whatever state.
	ErrEmailTaken error = status.New(status.Conflict, "registry: e-mail taken",
		"This e-mail address has an account already.")

	// ErrIDTaken is returned by Reserve when the tenant id is or was in use.
	ErrIDTaken error = status.New(status.Conflict, "registry: tenant id taken", "This name is taken.")

	// ErrNoServer is returned by Reserve when no open server has room.
	ErrNoServer error = status.New(status.Unavailable, "registry: no server has room", "")

	// ErrNotWanted is returned by PlanWarm when no warm database is to be made there now.
	ErrNotWanted = errors.New("registry: no warm database is wanted now")

	// ErrKeyReused is returned by Reserve when the idempotency key was used for a different request.
	ErrKeyReused error = status.New(status.Unprocessable, "registry: idempotency key used for another request",
		"The idempotency key was used for another request.")

	// ErrClaimLost is returned by a write under a claim that another process has taken over.
	ErrClaimLost error = status.New(status.Unavailable, "registry: claim lost", "")

	// ErrConflict is returned when a row was changed since it was read, or its state forbids the change.
	ErrConflict error = status.New(status.Conflict, "registry: conflict", "")

	// ErrAdminNotFound is returned when there is no such admin.
	ErrAdminNotFound error = status.New(status.Unauthorized, "registry: admin not found", endedSession)

	// ErrWrongKeys is returned by CheckKeys when the keyring is not the one that the registry was written with.
	ErrWrongKeys = errors.New("registry: keys are not those of this registry")

	// ErrServerNotFound is returned when there is no such server.
	ErrServerNotFound error = status.New(status.NotFound, "registry: server not found", "")

	// ErrInvalidSession is returned for a refresh token that opens no session: unknown, malformed, expired or revoked.
	ErrInvalidSession error = status.New(status.Unauthorized, "registry: invalid session", endedSession)

	// ErrSessionReused is returned when a refresh token was used again after its grace; its session is revoked. It
	// matches ErrInvalidSession too.
	ErrSessionReused = fmt.Errorf("%w: refresh token used again", ErrInvalidSession)
)
