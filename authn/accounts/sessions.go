package accounts

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// ActiveSession is a session of an admin that has not ended. It prints its id, its tenant and its admin only.
type ActiveSession struct {
	ID         string
	TenantID   tenancy.ID
	AdminID    string
	CreatedAt  time.Time
	LastUsedAt time.Time     // when its last refresh token was given out
	ExpiresAt  time.Time     // whether it is used or not
	Idle       time.Duration // how long it lives without use
	Addr       netip.Addr    `json:"-"` // from which it was opened; the zero Addr: unknown
	UserAgent  string        `json:"-"` // that it was opened with, of which the first 256 bytes are kept
	Current    bool          // the session that asks
}

// Format implements [fmt.Formatter]: a client's address is personal data.
func (s ActiveSession) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "session %s of admin %s of tenant %q", s.ID, s.AdminID, string(s.TenantID))
}

// LogValue implements [slog.LogValuer].
func (s ActiveSession) LogValue() slog.Value {
	return slog.GroupValue(slog.String("id", s.ID), slog.String("tenant", string(s.TenantID)),
		slog.String("admin", s.AdminID))
}

// Sessions returns the sessions of id's admin, most recently used first, each with the address and the user
// agent that were given when it began. It returns ErrInvalidSession if id's own session has ended, as do the
// methods below. ctx governs the queries.
func (a *Accounts) Sessions(ctx context.Context, id *authn.Identity) ([]ActiveSession, error) {
	if err := a.catalog.CheckSession(ctx, id.Subject, id.Session); err != nil {
		return nil, err
	}
	found, err := a.catalog.Sessions(ctx, id.Subject)
	if err != nil {
		return nil, err
	}
	sessions := make([]ActiveSession, len(found))
	for i, s := range found {
		sessions[i] = ActiveSession{
			ID: s.ID, TenantID: s.TenantID, AdminID: s.AdminID, CreatedAt: s.CreatedAt, LastUsedAt: s.LastUsedAt,
			ExpiresAt: s.ExpiresAt, Idle: s.Idle, Addr: s.Client.Addr, UserAgent: s.Client.UserAgent,
			Current: s.ID == id.Session,
		}
	}
	return sessions, nil
}

// SignOutSession ends a session of id's admin, as [Accounts.SignOut] does id's own. A session that does not exist, or
// is another admin's, is no error. Ask for the password before, with [Accounts.CheckPassword]: a thief of a session
// should not end its owner's (OWASP ASVS 5.0, 7.5.2). ctx governs the whole of it.
func (a *Accounts) SignOutSession(ctx context.Context, id *authn.Identity, sessionID string) error {
	if err := a.catalog.CheckSession(ctx, id.Subject, id.Session); err != nil {
		return err
	}
	return a.catalog.CloseSessionOf(acting(ctx, id.Subject, Client{}), id.Subject, sessionID)
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
	if err := a.catalog.CheckSession(ctx, id.Subject, id.Session); err != nil {
		return err
	}
	return a.catalog.CloseSessions(acting(ctx, id.Subject, Client{}), id.Subject, except)
}
