package accounts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/registry"
)

// prove is how every password is checked that a session is opened for: the row in the tenant's database decides. It
// returns that row, or ErrBadCredentials.
func (a *Accounts) prove(ctx context.Context, m registry.Membership, password string,
	adm *catalog.Admission,
) (Profile, error) {
	profile, match, err := a.authenticate(ctx, m, password, adm)
	if err != nil {
		return Profile{}, err
	}
	if !match.OK {
		a.log(ctx, slog.LevelWarn, "sign-in refused", m)
		return Profile{}, ErrBadCredentials
	}
	a.succeeded(ctx, adm)
	if match.Rehash {
		profile.PasswordHash = a.rehash(ctx, m, profile.PasswordHash, password)
	}
	return profile, nil
}

// authenticate looks the admin up and checks the password, which a hash in the tenant's database decides. While that
// does not answer soon, a wrong password is refused by the registry's copy of the hash, so that a refusal takes no
// longer for an e-mail that somebody has: only a caller with the password waits for the database, or learns why it
// cannot be asked.
func (a *Accounts) authenticate(ctx context.Context, m registry.Membership, password string, adm *catalog.Admission) (
	Profile, authn.Match, error,
) {
	profile, slow, why := a.findSoon(ctx, m)
	if why == nil {
		match, err := a.match(ctx, m, password, profile.PasswordHash)
		return profile, match, err
	}
	hash, match, err := a.matchCopy(ctx, m, password, why)
	if err != nil || !match.OK {
		return Profile{}, match, err
	}
	if !slow {
		a.succeeded(ctx, adm)
		return Profile{}, authn.Match{}, &unreachableError{error: why, hash: hash}
	}
	if profile, err = a.find(ctx, m); err != nil {
		a.succeeded(ctx, adm)
		return Profile{}, authn.Match{}, &unreachableError{error: err, hash: hash}
	}
	if profile.PasswordHash != hash {
		match, err = a.match(ctx, m, password, profile.PasswordHash)
	}
	return profile, match, err
}

// unreachableError is why the tenant's database could not be asked about a password that the registry's copy of the
// hash has found right.
type unreachableError struct {
	error
	hash string // the copy
}

// Format implements [fmt.Formatter]: the hash is not printed.
func (e *unreachableError) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, e.Error()) }

// Unwrap returns the reason.
func (e *unreachableError) Unwrap() error { return e.error }

// matchCopy checks the password against the registry's copy of the hash, because the tenant's database could not be
// asked, for the reason why. An admin missing from either of the two does not exist.
func (a *Accounts) matchCopy(ctx context.Context, m registry.Membership, password string, why error) (
	string, authn.Match, error,
) {
	admin, err := a.cfg.Registry.Admin(ctx, m.AdminID)
	if err != nil && !errors.Is(err, registry.ErrAdminNotFound) {
		return "", authn.Match{}, err
	}
	if err != nil || errors.Is(why, ErrProfileNotFound) {
		return "", authn.Match{}, a.cfg.Hasher.Spend(ctx, password)
	}
	match, err := a.match(ctx, m, password, admin.PasswordHash)
	return admin.PasswordHash, match, err
}

// confirm looks at the admin's row once more, now that the session is there. Who changes a password writes that row
// first and ends the sessions then: of the two, one sees what the other has done.
func (a *Accounts) confirm(ctx context.Context, m registry.Membership, hash, password string) error {
	profile, err := a.find(ctx, m)
	switch {
	case errors.Is(err, ErrProfileNotFound):
		return ErrBadCredentials
	case err != nil:
		return err
	case profile.PasswordHash == hash:
		return nil
	}
	match, err := a.match(ctx, m, password, profile.PasswordHash) // another sign-in may have hashed it anew
	switch {
	case err != nil:
		return err
	case !match.OK:
		return ErrBadCredentials
	}
	return a.catalog.RemarkSessions(ctx, m.AdminID, hash, profile.PasswordHash)
}

// find reads the admin's row in the tenant's database. The lease goes back before the password is checked, which
// takes longer than the query.
func (a *Accounts) find(ctx context.Context, m registry.Membership) (Profile, error) {
	var p Profile
	err := a.cfg.Resolver.AcquireFunc(ctx, m.TenantID, func(ctx context.Context, db *pgxpool.Pool) (err error) {
		p, err = a.cfg.Profiles.Find(ctx, db, m.AdminID)
		return err
	})
	return p, err
}

// findSoon is find for half of the time that a refusal takes; slow says that it was too short.
func (a *Accounts) findSoon(ctx context.Context, m registry.Membership) (p Profile, slow bool, err error) {
	if a.cfg.MinRefusal <= 0 {
		p, err = a.find(ctx, m)
		return p, false, err
	}
	soon, cancel := context.WithTimeout(ctx, a.cfg.MinRefusal/2)
	defer cancel()
	p, err = a.find(soon, m)
	return p, err != nil && soon.Err() != nil && ctx.Err() == nil, err
}

// match verifies a password with one key derivation. No password is right for an admin without a hash that can be
// verified: an error of its own would tell that there is such an admin.
func (a *Accounts) match(ctx context.Context, m registry.Membership, password, hash string) (authn.Match, error) {
	match, err := a.cfg.Hasher.Verify(ctx, password, hash)
	if errors.Is(err, authn.ErrInvalidHash) {
		a.log(ctx, slog.LevelWarn, "admin has no password hash that can be verified", m)
		return authn.Match{}, nil
	}
	return match, err
}
