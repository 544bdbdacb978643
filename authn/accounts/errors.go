package accounts

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/internal/status"
)

// The sentinels know their status in HTTP: see middleware.StatusCode.
var (
	// ErrBadCredentials is returned by SignIn for an unknown e-mail and for a wrong password, both alike, and by
	// ChangePassword and CheckPassword for a wrong password.
	ErrBadCredentials error = status.New(status.Unauthorized, "accounts: wrong e-mail or password",
		"Wrong e-mail or password.")

	// ErrThrottled is returned when there were too many attempts before: as a *ThrottledError, which says how long to
	// wait.
	ErrThrottled error = status.New(status.TooManyRequests, "accounts: too many attempts", "")

	// ErrNotSignedIn is returned by SignUp when everything was made and only the session could not be opened.
	ErrNotSignedIn error = status.New(status.Unavailable, "accounts: signed up, but not signed in",
		"The account is there. Sign in.")

	// ErrInvalidSession is returned for a session that has ended and for a refresh token that opens none: unknown,
	// malformed, expired or revoked.
	ErrInvalidSession = catalog.ErrInvalidSession

	// ErrSessionReused is returned by Refresh when a token was used again after Config.Grace; its session is revoked. It
	// matches ErrInvalidSession too.
	ErrSessionReused = catalog.ErrSessionReused

	// ErrInvalidTicket is returned for a ticket of a sign-in that is expired or for something else, or whose password was
	// changed meanwhile.
	ErrInvalidTicket = catalog.ErrInvalidTicket

	// ErrBadCode is returned for a code of a second factor that is wrong or was used before.
	ErrBadCode error = status.New(status.Unauthorized, "accounts: wrong code", "Wrong code, or used before.")

	// ErrUnverified is returned by SignUp where Config.VerifyEmail wants the e-mail verified first.
	ErrUnverified error = status.New(status.Forbidden, "accounts: e-mail must be verified first",
		"Verify your e-mail address first.")

	// ErrForbidden is returned to a Manager that may not do what it asks for.
	ErrForbidden error = status.New(status.Forbidden, "accounts: not allowed to manage these admins",
		"You may not do that.")

	// ErrLastPrimary is returned when a tenant would be left without an admin whose role is RolePrimary.
	ErrLastPrimary = catalog.ErrLastPrimary

	// ErrInvalidToken is returned for a token from an e-mail that is unknown, used, expired or for something else.
	ErrInvalidToken = catalog.ErrInvalidToken

	// ErrUnfinished is returned when a change of an admin is decided on, and the tenant's database does not have it yet:
	// Run finishes it.
	ErrUnfinished error = status.New(status.Unavailable, "accounts: change of an admin not finished yet",
		"The change was accepted and will be in force soon.")

	// ErrProfileNotFound is returned by Profiles.Find when the tenant's database has no such admin.
	ErrProfileNotFound error = status.New(status.Unauthorized, "accounts: admin not found",
		"The session has ended. Sign in again.")

	// ErrPasswordChanged is returned when the password was changed, or hashed anew, by another request meanwhile.
	ErrPasswordChanged error = status.New(status.Conflict, "accounts: password was changed meanwhile",
		"The password was changed meanwhile. Please try again.")

	// ErrSessionsOpen is returned by ChangePassword when the new password is in force, but the registry could not be told:
	// no other session is good for another token, and access tokens that were given out live until they expire. The
	// caller's own session ends with them: sign in with the new password. Its status is 500: to try again with the old
	// password would be wrong.
	ErrSessionsOpen error = status.New(500, "accounts: password changed, and other sessions not ended yet",
		"The new password is in force: sign in with it. Other sessions end when their access tokens expire.")
)

// ThrottledError refuses an attempt because too many came before it. It matches [ErrThrottled].
type ThrottledError struct {
	after time.Duration
}

// Error says no more than ErrThrottled does.
func (*ThrottledError) Error() string { return ErrThrottled.Error() }

// Is reports whether target is ErrThrottled.
func (*ThrottledError) Is(target error) bool { return target == ErrThrottled }

// HTTPStatus is 429, for middleware.StatusCode.
func (*ThrottledError) HTTPStatus() int { return status.TooManyRequests }

// RetryAfter is how long to wait before the next attempt, for middleware.WriteProblem.
func (e *ThrottledError) RetryAfter() time.Duration { return e.after }

// InputError says which fields of a form are wrong, and why, for the person who typed them. The
// keys are email, password, firstName, lastName, organization and role.
type InputError struct {
	Fields map[string]string
}

// Error names the fields that are wrong and nothing that was typed.
func (e *InputError) Error() string {
	return "accounts: invalid " + strings.Join(slices.Sorted(maps.Keys(e.Fields)), ", ")
}

// HTTPStatus is 422, for middleware.StatusCode.
func (*InputError) HTTPStatus() int { return status.Unprocessable }

// InvalidFields is Fields, for middleware.WriteProblem.
func (e *InputError) InvalidFields() map[string]string { return e.Fields }
