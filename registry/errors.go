package registry

import (
	"errors"
	"time"

	"github.com/pgtenancy/pgtenancy/internal/regdb"
	"github.com/pgtenancy/pgtenancy/internal/status"
)

// endedSession is shown to a client whose session or admin does not exist any more.
const endedSession = "The session has ended. Sign in again."

// The sentinels know their status in HTTP: see middleware.StatusCode. ErrWrongKeys and ErrNoIndexKey are for operators.
var (
	// ErrInvalidEmail is returned for an address that is not accepted. The error does not hold the address.
	ErrInvalidEmail error = status.Field("registry: invalid e-mail address", "email", "must be an e-mail address")

	// ErrEmailTaken is returned by Reserve when the e-mail belongs to a tenant already.
	ErrEmailTaken error = status.New(status.Conflict, "registry: e-mail taken",
		"This e-mail address has an account already.")

	// ErrEmailBusy is returned by Reserve when the e-mail belongs to a tenant that is being made, or unmade: a later try
	// finds it taken or free. It matches ErrEmailTaken too.
	ErrEmailBusy error = emailBusyError{}

	// ErrIDTaken is returned by Reserve when the tenant id is or was in use.
	ErrIDTaken error = status.New(status.Conflict, "registry: tenant id taken", "This name is taken.")

	// ErrAliasTaken is returned when another tenant has the alias.
	ErrAliasTaken error = status.New(status.Conflict, "registry: alias taken", "This name is taken.")

	// ErrInvalidAlias is returned for an alias that is empty, too long, not UTF-8 or holds NUL.
	ErrInvalidAlias error = status.Field("registry: invalid alias", "alias", "must be UTF-8 text of at most 255 bytes")

	// ErrInvalidLabel is returned for labels that are too many or too long, or not UTF-8.
	ErrInvalidLabel error = status.Field("registry: invalid label", "labels", "must be at most 64 short texts")

	// ErrNoServer is returned by Reserve when no open server has room.
	ErrNoServer error = status.New(status.Unavailable, "registry: no server has room", "")

	// ErrKeyReused is returned by Reserve when the idempotency key was used for a different request.
	ErrKeyReused error = status.New(status.Unprocessable, "registry: idempotency key used for another request",
		"The idempotency key was used for another request.")

	// ErrConflict is returned when a row was changed since it was read, or its state forbids the change.
	ErrConflict = regdb.ErrConflict

	// ErrAdminNotFound is returned when there is no such admin.
	ErrAdminNotFound error = status.New(status.Unauthorized, "registry: admin not found", endedSession)

	// ErrWrongKeys is returned by CheckKeys when the registry was written with another keyring.
	ErrWrongKeys = errors.New("registry: keys are not those of this registry")

	// ErrNoIndexKey is returned where an e-mail has to be found, or to be findable, and the keyring has no index key.
	ErrNoIndexKey = errors.New("registry: e-mails need an index key: keyring.Config.Index")

	// ErrServerNotFound is returned when there is no such server.
	ErrServerNotFound error = status.New(status.NotFound, "registry: server not found", "")
)

// emailBusyError is ErrEmailBusy.
type emailBusyError struct{}

func (emailBusyError) Error() string {
	return "registry: e-mail belongs to a sign-up or a deletion that is under way"
}

func (emailBusyError) Is(target error) bool { return target == ErrEmailTaken }

// HTTPStatus is 503, for middleware.StatusCode.
func (emailBusyError) HTTPStatus() int { return status.Unavailable }

// ProblemDetail is for middleware.WriteProblem.
func (emailBusyError) ProblemDetail() string {
	return "A sign-up with this e-mail address is being made, or undone. Please try again."
}

// RetryAfter is for middleware.WriteProblem.
func (emailBusyError) RetryAfter() time.Duration { return 2 * time.Second }

// unready is the error of a probe.
type unready string

// Error names the part that is not ready.
func (e unready) Error() string { return "registry: " + string(e) }

// HTTPStatus is 503.
func (unready) HTTPStatus() int { return status.Unavailable }
