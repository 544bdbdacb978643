package registry

import (
	"errors"
	"fmt"
	"time"
)

var (
	// ErrInvalidEmail is returned for an address that is not accepted. The error does not hold the address.
	ErrInvalidEmail = errors.New("registry: invalid e-mail address")

	// ErrEmailTaken is returned by Reserve when the e-mail belongs to a tenant already.
	ErrEmailTaken = errors.New("registry: e-mail taken")

	// ErrEmailBusy is returned by Reserve when the e-mail belongs to a tenant that is being made, or unmade: a later try
	// finds it taken or free. It matches ErrEmailTaken too.
	ErrEmailBusy error = emailBusyError{}

	// ErrIDTaken is returned by Reserve when the tenant id is or was in use.
	ErrIDTaken = errors.New("registry: tenant id taken")

	// ErrNoServer is returned by Reserve when no open server has room.
	ErrNoServer = errors.New("registry: no server has room")

	// ErrNotWanted is returned by PlanWarm when no warm database is to be made there now.
	ErrNotWanted = errors.New("registry: no warm database is wanted now")

	// ErrKeyReused is returned by Reserve when the idempotency key was used for a different request.
	ErrKeyReused = errors.New("registry: idempotency key used for another request")

	// ErrClaimLost is returned by a write under a claim that another process has taken over.
	ErrClaimLost = errors.New("registry: claim lost")

	// ErrConflict is returned when a row was changed since it was read, or its state forbids the change.
	ErrConflict = errors.New("registry: conflict")

	// ErrAdminNotFound is returned when there is no such admin.
	ErrAdminNotFound = errors.New("registry: admin not found")

	// ErrWrongKeys is returned by CheckKeys when the keyring is not the one that the registry was written with.
	ErrWrongKeys = errors.New("registry: keys are not those of this registry")

	// ErrServerNotFound is returned when there is no such server.
	ErrServerNotFound = errors.New("registry: server not found")

	// ErrInvalidSession is returned for a refresh token that opens no session: unknown, malformed, expired or revoked.
	ErrInvalidSession = errors.New("registry: invalid session")

	// ErrSessionReused is returned when a refresh token was used again after its grace; its session is revoked. It
	// matches ErrInvalidSession too.
	ErrSessionReused = fmt.Errorf("%w: refresh token used again", ErrInvalidSession)
)

// emailBusyError is ErrEmailBusy.
type emailBusyError struct{}

func (emailBusyError) Error() string {
	return "registry: e-mail belongs to a sign-up or a deletion that is under way"
}

func (emailBusyError) Is(target error) bool { return target == ErrEmailTaken }

// HTTPStatus is 503, for middleware.StatusCode.
func (emailBusyError) HTTPStatus() int { return unavailable }

// RetryAfter is for middleware.WriteProblem.
func (emailBusyError) RetryAfter() time.Duration { return 2 * time.Second }
