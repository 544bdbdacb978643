package accounts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// rehashTimeout bounds the two updates of a rehash, which go on when the sign-in's context ends.
const rehashTimeout = 5 * time.Second

// maxWrongPasswords is how many a session may give before it ends: a thief's is not to be where the owner's password is
// guessed.
const maxWrongPasswords = 10

// changeTimeout bounds the writes of a change, which go on when its context ends: half a change would leave a thief in.
const changeTimeout = 10 * time.Second

// CheckPassword verifies the password of id again, before something that cannot be undone. It returns
// [ErrBadCredentials] when it is wrong, [ErrThrottled] after too many in id's session that were, and
// ErrInvalidSession if that session has ended, as it does with the tenth wrong one. Attempts in other sessions
// do not count. ctx governs the whole of it.
func (a *Accounts) CheckPassword(ctx context.Context, id *authn.Identity, password string) error {
	_, err := a.verify(ctx, id, password)
	return err
}

// ChangePassword replaces the password of id in both of the admin's rows and ends every other session of theirs, in
// all tenants where the person has that password (the hashes are the same). ctx governs it until the first write; from
// there on it takes ten seconds at most for each tenant, whether the client waits or not.
//
// It returns what CheckPassword does when old is wrong, *[InputError] when the new one is not allowed,
// [ErrPasswordChanged] when another change came first, and registry.ErrConflict while the person is being changed at
// another tenant. After [ErrUnfinished] the new password is in force at id's tenant, and will be at others when Run has
// finished it. After [ErrSessionsOpen] the new password is in force. After any other error the old one is, unless the
// tenant's database did not answer any more: then the next sign-in tells.
func (a *Accounts) ChangePassword(ctx context.Context, id *authn.Identity, oldPassword, newPassword string) error {
	if err := a.cfg.Hasher.Check(newPassword); err != nil {
		return passwordError(err)
	}
	m := member(id)
	profile, err := a.verify(ctx, id, oldPassword)
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
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx = acting(ctx, id.Subject, Client{})
	others, err := a.beginOthers(ctx, m, profile.PasswordHash, hash)
	if err != nil {
		return err
	}
	if err := a.changeOwn(ctx, id, profile.PasswordHash, hash); err != nil {
		if !errors.Is(err, ErrSessionsOpen) {
			a.withdrawOthers(ctx, others)
			return err
		}
		return errors.Join(err, a.finishOthers(ctx, others))
	}
	return a.finishOthers(ctx, others)
}

// changeOwn changes the password at the tenant that id is signed in to. That tenant's row decides.
func (a *Accounts) changeOwn(ctx context.Context, id *authn.Identity, oldHash, hash string) error {
	m := member(id)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), changeTimeout)
	defer cancel()
	if err := a.setTenantPassword(ctx, m, oldHash, hash); err != nil {
		if errors.Is(err, ErrPasswordChanged) || !a.has(ctx, m, hash) {
			return err
		}
	}
	if err := a.changeCopy(ctx, m, hash, id.Session); err != nil {
		if errors.Is(err, ErrPasswordChanged) {
			return err
		}
		a.log(ctx, slog.LevelError, "password changed, sessions not ended", m)
		return fmt.Errorf("%w: %w", ErrSessionsOpen, err)
	}
	a.log(ctx, slog.LevelInfo, "password changed", m)
	return nil
}

// verify checks the password of a signed-in admin.
func (a *Accounts) verify(ctx context.Context, id *authn.Identity, password string) (Profile, error) {
	m := member(id)
	if err := a.catalog.CheckSession(ctx, m.AdminID, id.Session); err != nil {
		return Profile{}, err
	}
	profile, err := a.find(ctx, m)
	if err != nil {
		return Profile{}, err
	}
	admission, err := a.admit(ctx, a.cfg.Throttle.forPassword(id))
	if err != nil {
		return Profile{}, err
	}
	match, err := a.cfg.Hasher.Verify(ctx, password, profile.PasswordHash)
	switch {
	case err != nil:
		a.withdrawn(ctx, admission)
		return Profile{}, err
	case !match.OK:
		return Profile{}, a.wrong(ctx, id)
	}
	a.succeeded(ctx, admission)
	return profile, nil
}

// wrong counts a wrong password in the session that it was given in, also when the client has gone.
func (a *Accounts) wrong(ctx context.Context, id *authn.Identity) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	err := a.catalog.CountWrongPassword(ctx, id.Session, maxWrongPasswords)
	if errors.Is(err, ErrInvalidSession) {
		a.log(ctx, slog.LevelWarn, "session ended after wrong passwords", member(id))
		return err
	}
	if err != nil {
		a.log(ctx, slog.LevelWarn, "wrong password not counted", member(id))
	}
	return ErrBadCredentials
}

// has reports whether the tenant's row has that hash, after a write whose answer was lost.
func (a *Accounts) has(ctx context.Context, m registry.Membership, hash string) bool {
	profile, err := a.find(ctx, m)
	return err == nil && profile.PasswordHash == hash
}

// changeCopy writes the registry's copy and ends the sessions, after the tenant's row was written, which decides a
// sign-in and, at their next refresh, about the sessions too. A rehash of the password before may have come to the copy
// meanwhile.
func (a *Accounts) changeCopy(ctx context.Context, m registry.Membership, hash, session string) error {
	const tries = 5
	for try := 1; ; try++ {
		admin, err := a.cfg.Registry.Admin(ctx, m.AdminID)
		if err != nil {
			return err
		}
		err = a.catalog.ChangeAdminPassword(ctx, m.AdminID, admin.PasswordHash, hash, session)
		switch {
		case !errors.Is(err, registry.ErrConflict) || try == tries:
			return err
		case !a.has(ctx, m, hash):
			return ErrPasswordChanged
		}
	}
}

// rehash replaces a hash that is weaker than today's, now that the password is at hand. It is best effort: a failure
// must not fail the sign-in. The tenant's row goes first and each write is a compare-and-set from the old hash, so that
// a password change that came meanwhile wins in both rows. It returns the hash that the tenant's row has after it, as
// far as this sign-in knows.
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
		others := a.others(ctx, m, oldHash) // before the copy is another
		err = a.catalog.SetAdminPassword(ctx, m.AdminID, oldHash, hash)
		for _, o := range others { // they stay alike
			if a.setTenantPassword(ctx, o, oldHash, hash) == nil {
				err = errors.Join(err, a.catalog.SetAdminPassword(ctx, o.AdminID, oldHash, hash))
			}
		}
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
