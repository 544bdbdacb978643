package authn

import "errors"

var (
	// ErrBusy is returned when too many passwords are being hashed: the queue was full, or the wait too long.
	ErrBusy = errors.New("authn: too many passwords are being hashed")

	// ErrPasswordTooShort is returned by Hash for a password of fewer than MinPasswordLength characters.
	ErrPasswordTooShort = errors.New("authn: password too short")

	// ErrPasswordTooLong is returned by Hash for a password of more than MaxPasswordLength bytes.
	ErrPasswordTooLong = errors.New("authn: password too long")

	// ErrPasswordCommon is returned by Hash for a password that is among the first that an attacker tries.
	ErrPasswordCommon = errors.New("authn: password too common")

	// ErrInvalidHash is returned by Verify for a stored hash that is neither argon2id nor bcrypt as Verify accepts them.
	ErrInvalidHash = errors.New("authn: invalid password hash")

	// ErrTokenMissing is returned by Verify for the empty token.
	ErrTokenMissing = errors.New("authn: token missing")

	// ErrTokenExpired is returned by Verify for a token that was good but for its age.
	ErrTokenExpired = errors.New("authn: token expired")

	// ErrTokenInvalid is returned by Verify for every other token that it does not accept. It does not say why: what is
	// wrong with a forged token is nobody's business but the forger's.
	ErrTokenInvalid = errors.New("authn: token invalid")
)
