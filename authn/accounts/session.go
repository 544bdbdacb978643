package accounts

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Session is what a sign-up, a sign-in and a refresh return.
type Session struct {
	AccessToken  tenancy.Secret // a signed token for authn.Verifier
	RefreshToken tenancy.Secret // for Refresh; good once
	ExpiresIn    time.Duration  // of the access token
	Profile      Profile        // without PasswordHash
	Tenant       tenancy.Tenant
	Organization registry.Organization
}

// open begins a session for an admin whose row prove returned.
func (a *Accounts) open(
	ctx context.Context, m registry.Membership, p Profile, password string, c catalog.Client,
) (*Session, error) {
	if err := a.askFactor(ctx, m, p); err != nil {
		return nil, err
	}
	return a.openProved(ctx, m, p, password, c)
}

// openProved is open after the second factor, if one is wanted, was given.
func (a *Accounts) openProved(
	ctx context.Context, m registry.Membership, p Profile, password string, c catalog.Client,
) (*Session, error) {
	tenant, err := a.cfg.Registry.Tenant(ctx, m.TenantID)
	if err != nil {
		return nil, err
	}
	session, err := a.begin(ctx, tenant.Tenant, tenant.Organization, p, c)
	if err != nil {
		return nil, err
	}
	if err := a.confirm(ctx, m, p.PasswordHash, password); err != nil {
		return nil, err // no client got the tokens: the session is worth nothing
	}
	a.log(ctx, slog.LevelInfo, "signed in", m)
	return session, nil
}

// begin makes a session for the admin of a row that the tenant's database is known to have.
func (a *Accounts) begin(
	ctx context.Context, t tenancy.Tenant, o registry.Organization, p Profile, c catalog.Client,
) (*Session, error) {
	ctx = acting(ctx, p.ID, Client(c))
	session, refresh, err := a.catalog.OpenSession(ctx, catalog.SessionRequest{
		TenantID: t.ID, AdminID: p.ID, TTL: a.cfg.SessionTTL, Idle: a.cfg.SessionIdle, PasswordHash: p.PasswordHash,
		Client: c,
	})
	if err != nil {
		return nil, err
	}
	return a.issue(session, refresh, t, o, p)
}

func (a *Accounts) issue(
	s catalog.Session, refresh tenancy.Secret, t tenancy.Tenant, o registry.Organization, p Profile,
) (*Session, error) {
	token, expires, err := a.cfg.Issuer.Issue(authn.Identity{
		Subject: p.ID, Tenant: string(t.ID), Session: s.ID, Role: p.Role,
	})
	if err != nil {
		return nil, err
	}
	p.PasswordHash = ""
	return &Session{
		AccessToken:  tenancy.NewSecret(token),
		RefreshToken: refresh,
		ExpiresIn:    time.Until(expires).Round(time.Second),
		Profile:      p,
		Tenant:       t,
		Organization: o,
	}, nil
}

// Refresh exchanges a refresh token for a new pair. ctx governs the whole of it. It returns an error that matches
// ErrInvalidSession for a token that opens no session, for an admin whom the tenant's database no longer has,
// and after the password there was replaced in any way; the person has to sign in again. authn.ErrBusy means that
// too many tokens are being exchanged; this one is good still.
//
// While the tenant's database does not answer, the Profile has only the id and e-mail that the registry knows, and the
// token no role: that database decides on roles.
func (a *Accounts) Refresh(ctx context.Context, token string) (*Session, error) {
	session, next, err := a.rotate(ctx, token)
	if err != nil {
		return nil, err
	}
	tenant, err := a.cfg.Registry.Tenant(ctx, session.TenantID)
	if err != nil {
		return nil, err
	}
	member := registry.Membership{TenantID: session.TenantID, AdminID: session.AdminID}
	profile, err := a.find(ctx, member)
	switch {
	case errors.Is(err, ErrProfileNotFound), err == nil && !session.OpenedWith(profile.PasswordHash):
		// Removed from the tenant's database, which decides who an admin is, or signed in with a password that is none any
		// more.
		// a client that has gone keeps no session
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
		defer cancel()
		if err := a.catalog.CloseSession(ctx, session.ID); err != nil {
			return nil, err
		}
		return nil, ErrInvalidSession
	case err != nil:
		// The token was exchanged: to fail now could cost the person the session, so the registry's copy must do.
		admin, copyErr := a.cfg.Registry.Admin(ctx, session.AdminID)
		if copyErr != nil {
			return nil, copyErr
		}
		a.log(ctx, slog.LevelWarn, "refreshed without the tenant's database", member)
		profile = Profile{ID: admin.ID, Email: admin.Email.Reveal()}
	}
	return a.issue(session, next, tenant.Tenant, tenant.Organization, profile)
}

func (a *Accounts) rotate(ctx context.Context, token string) (catalog.Session, tenancy.Secret, error) {
	leave, err := a.refreshes.enter()
	if err != nil {
		return catalog.Session{}, tenancy.Secret{}, err
	}
	defer leave()
	return a.catalog.RotateSession(ctx, tenancy.NewSecret(token), a.cfg.Grace)
}

// SignOut ends the session of id: its refresh token is worth nothing from now on. An access token that was issued stays
// good until it expires, except in processes that verify through an authn.Cache which registry.Follow tells of closed
// sessions. ctx governs the whole of it. Signing out twice is no error.
func (a *Accounts) SignOut(ctx context.Context, id *authn.Identity) error {
	return a.catalog.CloseSession(acting(ctx, id.Subject, Client{}), id.Session)
}
