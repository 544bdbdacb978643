package accounts

import (
	"errors"
	"maps"
	"slices"
	"strings"
)

var (
	// ErrBadCredentials is returned by SignIn for an unknown e-mail and for a wrong password, both alike, and by
	// ChangePassword and CheckPassword for a wrong password.
	ErrBadCredentials = errors.New("accounts: wrong e-mail or password")

	// ErrNotSignedIn is returned by SignUp when everything was made and only the session could not be opened.
	ErrNotSignedIn = errors.New("accounts: signed up, but not signed in")

	// ErrProfileNotFound is returned by Profiles.Find when the tenant's database has no such admin.
	ErrProfileNotFound = errors.New("accounts: admin not found")

	// ErrPasswordChanged is returned when the password was changed by someone else meanwhile.
	ErrPasswordChanged = errors.New("accounts: password was changed meanwhile")

	errDatabase = errors.New("database does not answer")
)

// InputError says which fields of a sign-up or a password change are wrong, and why, for the person who typed them. The
// keys are email, password, firstName, lastName and organization.
type InputError struct {
	Fields map[string]string
}

// Error names the fields that are wrong and nothing that was typed.
func (e *InputError) Error() string {
	return "accounts: invalid " + strings.Join(slices.Sorted(maps.Keys(e.Fields)), ", ")
}
