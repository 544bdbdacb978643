package authn

import (
	"errors"
	"strconv"
)

var (
	// ErrBusy is returned when too many passwords are being hashed: the queue was full, or the wait too long.
	ErrBusy = errors.New("authn: too many passwords are being hashed")

	// ErrPasswordInvalid is returned by Check and Hash for a password that is not text: see [Hasher.Check].
	ErrPasswordInvalid error = &passwordError{"authn: password is not text", "has characters that are not text"}

	// ErrPasswordTooShort is returned by Check and Hash for a password of fewer than MinPasswordLength characters.
	ErrPasswordTooShort error = &passwordError{
		"authn: password too short", "must have at least " + strconv.Itoa(MinPasswordLength) + " characters",
	}

	// ErrPasswordTooLong is returned by Check and Hash for a password of more than MaxPasswordLength bytes.
	ErrPasswordTooLong error = &passwordError{
		"authn: password too long", "must have at most " + strconv.Itoa(MaxPasswordLength) + " bytes",
	}

	// ErrPasswordCommon is returned by Check and Hash for a password that is among the first that an attacker tries.
	ErrPasswordCommon error = &passwordError{"authn: password too common", "is too common"}

	// ErrPasswordContext is returned by Check and Hash for a password that is made of names: see [Hasher.Check].
	ErrPasswordContext error = &passwordError{
		"authn: password made of names",
		"must have at least " + strconv.Itoa(MinPasswordLength) + " characters besides your organization's name, " +
			"your e-mail address and the name of this service",
	}

	// ErrPasswordBreached is returned by Hash for a password that HasherConfig.Breached knows.
	ErrPasswordBreached error = &passwordError{
		"authn: password known from a breach", "is known from a breach of another service",
	}

	// ErrInvalidHash is returned by Verify for a stored hash that is neither argon2id nor bcrypt as Verify accepts them.
	ErrInvalidHash = errors.New("authn: invalid password hash")

	// ErrTokenMissing is returned by Verify for the empty token.
	ErrTokenMissing = errors.New("authn: token missing")

	// ErrTokenExpired is returned by Verify for a token that was good but for its age.
	ErrTokenExpired = errors.New("authn: token expired")

	// ErrTokenInvalid is returned by Verify for every other token that it does not accept. It does not say why, so that a
	// forger learns nothing.
	ErrTokenInvalid = errors.New("authn: token invalid")
)

// passwordError is a rule for passwords: its text, and the fault in words for the person that typed the password.
type passwordError struct{ text, problem string }

func (e *passwordError) Error() string { return e.text }

// HTTPStatus is 422, for middleware.StatusCode.
func (*passwordError) HTTPStatus() int { return 422 }

// InvalidFields names the field "password", for middleware.WriteProblem.
func (e *passwordError) InvalidFields() map[string]string {
	return map[string]string{"password": e.problem}
}
