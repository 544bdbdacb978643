package accounts

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// rehashTimeout bounds the two updates of a rehash, which go on when the sign-in's context ends.
const rehashTimeout = 5 * time.Second

// CheckPassword verifies the password of id again, before something that cannot be undone. It returns
// [ErrBadCredentials] when it is wrong, and [ErrThrottled] after too many that were. ctx governs the whole of it.
func (a *Accounts) CheckPassword(ctx context.Context, id *authn.Identity, password string) error {
	_, err := a.verify(ctx, member(id), password)
	return err
}

// ChangePassword replaces the password of id in both of the admin's rows and ends every other session of theirs. ctx
// governs the whole of it. It returns [ErrBadCredentials] when old is wrong, [ErrThrottled] after too many that were,
// *[InputError] when the new one is not allowed and [ErrPasswordChanged] when another change came first. After an error the old password is still the one
// that signs in.
func (a *Accounts) ChangePassword(ctx context.Context, id *authn.Identity, oldPassword, newPassword string) error {
	if err := a.cfg.Hasher.Check(newPassword); err != nil {
		return passwordError(err)
	}
	m := member(id)
	profile, err := a.verify(ctx, m, oldPassword)
	if err != nil {
		return err
	}
	if err := a.checkNames(ctx, m, profile, newPassword); err != nil {
		return err
	}
	hash, err := a.cfg.Hasher.Hash(ctx, newPassword)
	if err != nil {
		return passwordError(err)
	}
	if err := a.setPassword(ctx, m, profile.PasswordHash, hash); err != nil {
		return err
	}
	a.log(ctx, slog.LevelInfo, "password changed", m)
	return a.cfg.Registry.CloseSessions(ctx, m.AdminID, id.Session)
}

func (a *Accounts) verify(ctx context.Context, m registry.Membership, password string) (Profile, error) {
	profile, err := a.find(ctx, m)
	if err != nil {
		return Profile{}, err
	}
	ok, err := a.guess(ctx, m.AdminID, password, profile.PasswordHash)
	if err != nil {
		return Profile{}, err
	}
	if !ok {
		return Profile{}, ErrBadCredentials
	}
	return profile, nil
}

// guess checks the password of an admin who is known by other means than it.
func (a *Accounts) guess(ctx context.Context, adminID, password, hash string) (ok bool, err error) {
	admission, err := a.admit(ctx, a.cfg.Throttle.forPassword(adminID))
	if err != nil {
		return false, err
	}
	match, err := a.cfg.Hasher.Verify(ctx, password, hash)
	switch {
	case err != nil:
		a.withdrawn(ctx, admission)
	case match.OK:
		a.succeeded(ctx, admission)
	}
	return match.OK, err
}

// setPassword writes the registry's copy first and the tenant's row, which decides a sign-in, second. So "changed" is
// said only when both are; a crash in between leaves the old password in force, and the next change starts from
// whatever the copy then holds.
func (a *Accounts) setPassword(ctx context.Context, m registry.Membership, oldHash, newHash string) error {
	admin, err := a.cfg.Registry.Admin(ctx, m.AdminID)
	if err != nil {
		return err
	}
	if err := a.cfg.Registry.SetAdminPassword(ctx, m.AdminID, admin.PasswordHash, newHash); err != nil {
		if errors.Is(err, registry.ErrConflict) {
			return ErrPasswordChanged
		}
		return err
	}
	return a.setTenantPassword(ctx, m, oldHash, newHash)
}

// rehash replaces a hash that is weaker than today's, now that the password is at hand. It is best effort: a failure
// must not fail the sign-in. The tenant's row goes first and each write is a compare-and-set from the old hash, so that
// a password change that came meanwhile wins in both rows. It returns the hash that the tenant's row has after it, as far
// as this sign-in knows.
func (a *Accounts) rehash(ctx context.Context, m registry.Membership, oldHash, password string) string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rehashTimeout)
	defer cancel()
	kept := oldHash
	hash, err := a.cfg.Hasher.Rehash(ctx, password)
	if err == nil {
		err = a.setTenantPassword(ctx, m, oldHash, hash)
	}
	if err == nil {
		kept = hash
		err = a.cfg.Registry.SetAdminPassword(ctx, m.AdminID, oldHash, hash)
	}
	if err != nil {
		a.log(ctx, slog.LevelWarn, "password not rehashed", m)
	}
	return kept
}

func (a *Accounts) setTenantPassword(ctx context.Context, m registry.Membership, oldHash, newHash string) error {
	return a.cfg.Resolver.AcquireFunc(ctx, m.TenantID, func(ctx context.Context, db *pgxpool.Pool) error {
		return a.cfg.Profiles.SetPassword(ctx, db, m.AdminID, oldHash, newHash)
	})
}

func member(id *authn.Identity) registry.Membership {
	return registry.Membership{TenantID: tenancy.ID(id.Tenant), AdminID: id.Subject}
}
