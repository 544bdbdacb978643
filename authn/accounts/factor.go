package accounts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/internal/status"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// SecondFactor is what a person proves beside the password. Package authn/totp has one. Implementations must be safe
// for concurrent use; ctx governs the whole of each call.
type SecondFactor interface {
	// Required reports whether that admin must give a code to sign in.
	Required(ctx context.Context, m registry.Membership) (bool, error)

	// Prove reports whether code is right now, and uses it up: the same code is wrong from then on, at once and for
	// every process. Accounts bounds the attempts.
	Prove(ctx context.Context, m registry.Membership, code string) (bool, error)
}

// SecondFactorError says that the password is right, and that a code is wanted: [Accounts.ProveFactor] takes it with
// the ticket. Its status is 401. It prints none of its fields.
type SecondFactorError struct {
	TenantID tenancy.ID
	Ticket   tenancy.Secret // for ProveFactor; good for 5 minutes
}

// Error says what is missing.
func (*SecondFactorError) Error() string { return "accounts: second factor required" }

// Format implements [fmt.Formatter].
func (e *SecondFactorError) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, e.Error()) }

// HTTPStatus is 401, for middleware.StatusCode.
func (*SecondFactorError) HTTPStatus() int { return status.Unauthorized }

// ProblemDetail is for middleware.WriteProblem.
func (*SecondFactorError) ProblemDetail() string { return "Enter the code of your second factor." }

// askFactor returns a *SecondFactorError if an admin whose password was right has to give a code.
func (a *Accounts) askFactor(ctx context.Context, m registry.Membership, p Profile) error {
	if a.cfg.SecondFactor == nil {
		return nil
	}
	required, err := a.cfg.SecondFactor.Required(ctx, m)
	if err != nil || !required {
		return err
	}
	return &SecondFactorError{TenantID: m.TenantID, Ticket: a.catalog.SignTicket(catalog.NewTicket(
		catalog.TicketFactor, m, p.PasswordHash, time.Now().Add(ticketTTL)))}
}

// ProveFactor ends a sign-in that returned a [SecondFactorError]. It returns [ErrInvalidTicket] for a ticket that is
// expired, not for this or of a password that was changed, [ErrBadCode] for a code that is wrong or was used,
// [ErrThrottled] after too many of them (see Throttle.Factor), or what SignIn returns to a caller with the password.
// ctx governs the whole of it.
func (a *Accounts) ProveFactor(ctx context.Context, ticket, code string, c Client) (*Session, error) {
	t, err := a.catalog.ReadTicket(catalog.TicketFactor, tenancy.NewSecret(ticket), time.Now())
	if err != nil {
		return nil, err
	}
	if a.cfg.SecondFactor == nil {
		return nil, ErrInvalidTicket
	}
	profile, err := a.proved(ctx, t, t.Member)
	if err != nil {
		return nil, err
	}
	if err := a.proveFactor(ctx, t.Member, code); err != nil {
		return nil, err
	}
	return a.withTicket(a.openProved(ctx, t.Member, profile, "", catalog.Client(c)))
}

// CheckFactor verifies a code of id again, before something that cannot be undone. It returns what ProveFactor does of
// the code; nil if Config.SecondFactor wants none of that admin. ctx governs the whole of it.
func (a *Accounts) CheckFactor(ctx context.Context, id *authn.Identity, code string) error {
	if err := a.catalog.CheckSession(ctx, id.Subject, id.Session); err != nil {
		return err
	}
	if a.cfg.SecondFactor == nil {
		return nil
	}
	required, err := a.cfg.SecondFactor.Required(ctx, member(id))
	if err != nil || !required {
		return err
	}
	return a.proveFactor(ctx, member(id), code)
}

// proveFactor counts the attempt before the code is looked at.
func (a *Accounts) proveFactor(ctx context.Context, m registry.Membership, code string) error {
	admission, err := a.admit(ctx, a.cfg.Throttle.forFactor(m))
	if err != nil {
		return err
	}
	ok, err := a.cfg.SecondFactor.Prove(ctx, m, code)
	switch {
	case err != nil:
		a.withdrawn(ctx, admission)
		return err
	case !ok:
		a.log(ctx, slog.LevelWarn, "wrong code", m)
		return ErrBadCode
	}
	a.succeeded(ctx, admission)
	return nil
}

// isFactor reports whether err asks for a second factor.
func isFactor(err error) bool {
	var factor *SecondFactorError
	return errors.As(err, &factor)
}
