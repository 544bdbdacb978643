package accounts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// SignIn is an e-mail and a password to be checked.
type SignIn struct {
	Email    string
	Password string

	// Tenant narrows the sign-in to one tenant, for a page that belongs to it. Empty: the e-mail's own, or a choice.
	Tenant tenancy.ID

	// Addr is the client's address, by which attempts are counted too. Behind a proxy it is what that says of the client,
	// and only if the proxy is trusted: a client that chooses its address escapes the count. The zero Addr: unknown.
	Addr netip.Addr

	// UserAgent is what the client calls itself. It is kept for Sessions, as Addr is. Empty: unknown.
	UserAgent string
}

// Format implements [fmt.Formatter]: neither the e-mail nor the password is printed.
func (SignIn) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("a sign-in")) }

// LogValue implements [slog.LogValuer].
func (SignIn) LogValue() slog.Value { return slog.StringValue("a sign-in") }

// SignIn checks an e-mail and a password and opens a session. ctx governs the whole of it.
//
// Of an e-mail that belongs to several tenants the password is checked at one, that which came first. If it is right,
// and is the person's password at others too (the hashes are the same), the error is a *[ChoiceError], for
// [Accounts.Choose]. If Config.SecondFactor wants a code it is a *[SecondFactorError], for [Accounts.ProveFactor].
// A tenant where the person has another password is reached by naming it in s.Tenant.
//
// It returns [ErrBadCredentials] for an unknown e-mail, a malformed one and a wrong password, after one key derivation
// and no sooner than Config.MinRefusal. After too many of them it returns [ErrThrottled], at once and for a known
// e-mail as for an unknown one: see [Throttle]. Only a caller with the password learns more: an error that matches
// tenancy.ErrNotActive when the tenant is suspended or otherwise closed, or the reason why its database cannot be
// reached. authn.ErrBusy means that too many passwords are being checked.
func (a *Accounts) SignIn(ctx context.Context, s SignIn) (*Session, error) {
	floor := time.NewTimer(max(a.cfg.MinRefusal, 0))
	defer floor.Stop()
	members, admission, err := a.lookUp(ctx, s)
	if err != nil {
		return nil, err
	}
	session, err := a.signIn(ctx, s, members, admission)
	switch {
	case errors.Is(err, ErrBadCredentials):
		select {
		case <-floor.C:
		case <-ctx.Done():
		}
		// For an e-mail that leads nowhere too: operators have to see a password spray.
		a.cfg.Logger.LogAttrs(ctx, slog.LevelInfo, "wrong e-mail or password", slog.String("from", network(s.Addr)))
	case errors.Is(err, authn.ErrBusy):
		a.withdrawn(ctx, admission)
	}
	return session, err
}

// lookUp counts the attempt and finds out whose e-mail it is. A flood is turned away here rather than at its hashes.
func (a *Accounts) lookUp(ctx context.Context, s SignIn) ([]catalog.Member, *catalog.Admission, error) {
	leave, err := a.enter(a.signIns)
	if err != nil {
		return nil, nil, err
	}
	defer leave()
	email, _ := registry.ParseEmail(s.Email) // a malformed one leads nowhere
	admission, err := a.admit(ctx, a.cfg.Throttle.forSignIn(s, email))
	if err != nil {
		return nil, nil, err
	}
	members, err := a.members(ctx, email, s.Tenant)
	return members, admission, err
}

func (a *Accounts) signIn(
	ctx context.Context, s SignIn, members []catalog.Member, adm *catalog.Admission,
) (*Session, error) {
	if len(members) == 0 {
		if err := a.cfg.Hasher.Spend(ctx, s.Password); err != nil {
			return nil, err
		}
		return nil, ErrBadCredentials
	}
	first := members[0].Membership
	profile, err := a.prove(ctx, first, s.Password, adm)
	if same := sharing(members); len(same) > 1 {
		hash, proved := profile.PasswordHash, err == nil
		var closed *unreachableError
		if errors.As(err, &closed) { // the others may be open
			hash, proved = closed.hash, true
		}
		if proved {
			return nil, a.offer(ctx, same, hash)
		}
	}
	if err != nil {
		return nil, err
	}
	return a.open(ctx, first, profile, s.Password, catalog.Client{Addr: s.Addr, UserAgent: s.UserAgent})
}

// members returns none for an e-mail that leads nowhere, and else its memberships, the oldest first.
func (a *Accounts) members(ctx context.Context, email registry.Email, tenant tenancy.ID) ([]catalog.Member, error) {
	if email.IsZero() {
		return nil, nil
	}
	members, err := a.catalog.Members(ctx, email)
	if tenant != "" {
		members = slices.DeleteFunc(members, func(m catalog.Member) bool { return m.TenantID != tenant })
	}
	return members, err
}

func (a *Accounts) log(ctx context.Context, level slog.Level, msg string, m registry.Membership) {
	a.cfg.Logger.LogAttrs(ctx, level, msg,
		slog.String("tenant", string(m.TenantID)), slog.String("admin", m.AdminID))
}
