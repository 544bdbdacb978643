package accounts

import (
	"context"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/registry"
)

// ActiveSession is a session of an admin that has not ended. It prints its ids only.
type ActiveSession struct {
	registry.Session
	Current bool // the one that asks
}

// Sessions returns the sessions of id's admin, the one that was used last first, each with the address and the user
// agent that were given when it began. It returns registry.ErrInvalidSession if id's own session has ended, as do the
// methods below. ctx governs the queries.
func (a *Accounts) Sessions(ctx context.Context, id *authn.Identity) ([]ActiveSession, error) {
	if err := a.cfg.Registry.CheckSession(ctx, id.Subject, id.Session); err != nil {
		return nil, err
	}
	found, err := a.cfg.Registry.Sessions(ctx, id.Subject)
	if err != nil {
		return nil, err
	}
	sessions := make([]ActiveSession, len(found))
	for i, s := range found {
		sessions[i] = ActiveSession{Session: s, Current: s.ID == id.Session}
	}
	return sessions, nil
}

// SignOutSession ends a session of id's admin, as [Accounts.SignOut] does id's own. One that is not there, or another
// admin's, is no error. Ask for the password before, with [Accounts.CheckPassword]: who has stolen a session should not
// end its owner's (OWASP ASVS 5.0, 7.5.2). ctx governs the whole of it.
func (a *Accounts) SignOutSession(ctx context.Context, id *authn.Identity, sessionID string) error {
	if err := a.cfg.Registry.CheckSession(ctx, id.Subject, id.Session); err != nil {
		return err
	}
	return a.cfg.Registry.CloseSessionOf(ctx, id.Subject, sessionID)
}

// SignOutElsewhere ends every session of id's admin but id's own. What SignOutSession says of the password holds here
// too.
func (a *Accounts) SignOutElsewhere(ctx context.Context, id *authn.Identity) error {
	return a.signOutAll(ctx, id, id.Session)
}

// SignOutEverywhere ends every session of id's admin. What SignOutSession says of the password holds here too.
func (a *Accounts) SignOutEverywhere(ctx context.Context, id *authn.Identity) error {
	return a.signOutAll(ctx, id, "")
}

func (a *Accounts) signOutAll(ctx context.Context, id *authn.Identity, except string) error {
	if err := a.cfg.Registry.CheckSession(ctx, id.Subject, id.Session); err != nil {
		return err
	}
	return a.cfg.Registry.CloseSessions(ctx, id.Subject, except)
}
