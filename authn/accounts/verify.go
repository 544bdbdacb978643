package accounts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/registry"
)

// RequestSignUp has a mail sent with a token to complete a sign-up, good for a day. Until then it costs a row and no
// database. s needs no Password and no IdempotencyKey. The answer is the same for an e-mail that has an account:
// Message.Known tells its owner.
//
// It returns *[InputError], [ErrThrottled] and authn.ErrBusy. ctx governs the whole of it.
func (a *Accounts) RequestSignUp(ctx context.Context, s SignUp) error {
	fields := s.checkNames()
	email, err := registry.ParseEmail(s.Email)
	if err != nil {
		fields["email"] = "must be an e-mail address"
	}
	if len(fields) > 0 {
		return &InputError{Fields: fields}
	}
	return a.request(ctx, MailSignUp, s.Addr, email,
		mailData{FirstName: s.FirstName, LastName: s.LastName, Organization: s.Organization})
}

// Completion completes a sign-up whose e-mail the token has verified. The password is chosen now: the person who filled
// in the form has not shown to own the address.
type Completion struct {
	Token    string
	Password string

	// Addr is the client's address, and UserAgent what it calls itself, as in SignIn.
	Addr      netip.Addr
	UserAgent string

	// Progress is called when each step begins. It must not block. It may be nil.
	Progress func(step string)
}

// Format implements [fmt.Formatter]: a completion prints none of its fields.
func (Completion) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("a completion")) }

// LogValue implements [slog.LogValuer].
func (Completion) LogValue() slog.Value { return slog.StringValue("a completion") }

// CompleteSignUp makes what RequestSignUp has asked for, as [Accounts.SignUp] does, and returns what that does; and
// [ErrInvalidToken]. The token is good until the sign-up has succeeded: repeated with the same password, it ends the
// same sign-up. ctx governs the whole of it.
func (a *Accounts) CompleteSignUp(ctx context.Context, c Completion) (*Session, error) {
	t, d, email, err := a.mailed(ctx, catalog.TokenSignUp, c.Token)
	if err != nil {
		return nil, err
	}
	session, err := a.signUp(ctx, SignUp{
		Email: email.Reveal(), Password: c.Password, FirstName: d.FirstName, LastName: d.LastName,
		Organization: d.Organization, IdempotencyKey: "verified " + t.ID, Addr: c.Addr, UserAgent: c.UserAgent,
		Progress: c.Progress,
	})
	if err == nil || errors.Is(err, ErrNotSignedIn) {
		if endErr := a.catalog.DeleteToken(ctx, t.ID); endErr != nil { // it expires by itself
			a.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "token of a sign-up not deleted", slog.String("token", t.ID))
		}
	}
	return session, err
}
