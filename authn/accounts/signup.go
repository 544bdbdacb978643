package accounts

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/registry"
)

// RolePrimary is the role of the admin who signed an organization up.
const RolePrimary = registry.RolePrimary

// SignUp is what a person fills in to get an organization, a database and an account.
type SignUp struct {
	Email        string
	Password     string
	FirstName    string
	LastName     string
	Organization string

	// IdempotencyKey makes a repetition safe: the same key with the same fields signs in to what the first made.
	// Empty: every call is a new sign-up.
	IdempotencyKey string

	// Addr is the client's address, as in SignIn.
	Addr netip.Addr

	// Progress is told when each step begins. It must not block. It may be nil.
	Progress func(step string)
}

// Format implements [fmt.Formatter]: a sign-up prints none of its fields.
func (SignUp) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("a sign-up")) }

// LogValue implements [slog.LogValuer].
func (SignUp) LogValue() slog.Value { return slog.StringValue("a sign-up") }

// SignUp makes an organization with a database of its own and its first admin, and signs that admin in. ctx governs the
// whole sign-up; when it ends early, what was begun is undone in the background.
//
// It returns *[InputError] for fields that are wrong, registry.ErrEmailTaken, registry.ErrKeyReused when the
// idempotency key was used with other fields, [ErrThrottled] after too many sign-ups (see [Throttle]), authn.ErrBusy when
// too many passwords are being hashed, or the error of [provision.Provisioner.Create], after which no account exists or
// will exist, or, if only the answer was lost, a whole one: an IdempotencyKey tells which. With [ErrNotSignedIn] the
// account is there, and the person can sign in.
func (a *Accounts) SignUp(ctx context.Context, s SignUp) (*Session, error) {
	email, err := s.check(a.cfg.Hasher)
	if err != nil {
		return nil, err
	}
	admission, err := a.admitSignUp(ctx, s)
	if err != nil {
		return nil, err
	}
	hash, err := a.cfg.Hasher.Hash(ctx, s.Password)
	if err != nil { // nothing was made, and nothing told
		a.withdrawn(ctx, admission)
		return nil, passwordError(err)
	}
	made, err := a.cfg.Provisioner.Create(ctx, a.request(s, email, hash))
	if err != nil {
		return nil, err
	}
	profile := Profile{
		ID: made.Admin.ID, Email: email.Reveal(), Role: made.Admin.Role,
		FirstName: s.FirstName, LastName: s.LastName, PasswordHash: hash,
	}
	if made.Replayed {
		if err := a.checkReplay(ctx, made, s.Password); err != nil {
			return nil, err
		}
	}
	a.cfg.Logger.LogAttrs(ctx, slog.LevelInfo, "signed up", slog.String("tenant", string(made.Tenant.ID)),
		slog.String("admin", profile.ID), slog.Bool("replayed", made.Replayed))
	session, err := a.open(ctx, made.Tenant, made.Organization, profile)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotSignedIn, err)
	}
	return session, nil
}

func (a *Accounts) admitSignUp(ctx context.Context, s SignUp) (*registry.Admission, error) {
	leave, err := a.enter(a.signUps)
	if err != nil {
		return nil, err
	}
	defer leave()
	return a.admit(ctx, a.cfg.Throttle.forSignUp(s))
}

func (a *Accounts) request(s SignUp, email registry.Email, hash string) provision.Request {
	data, _ := json.Marshal(names{FirstName: s.FirstName, LastName: s.LastName}) // two strings always marshal
	req := provision.Request{
		Organization:   registry.Organization{Name: s.Organization, Email: email},
		Admin:          registry.Admin{Email: email, PasswordHash: hash, Role: RolePrimary},
		Data:           data,
		IdempotencyKey: s.IdempotencyKey,
		Progress:       s.Progress,
	}
	if a.cfg.Trial > 0 {
		req.Organization.TrialEndsAt = time.Now().Add(a.cfg.Trial).UTC().Truncate(time.Second)
	}
	if s.IdempotencyKey != "" {
		req.RequestHash = s.hash(email)
	}
	return req
}

// hash covers what was asked for except the password, because a fast hash of a password must not be stored. The
// registry keys it again, so that it does not give the e-mail away either.
func (s SignUp) hash(email registry.Email) []byte {
	h := sha256.New()
	for _, field := range []string{email.Reveal(), s.FirstName, s.LastName, s.Organization} {
		_, _ = fmt.Fprintf(h, "%d:%s", len(field), field)
	}
	return h.Sum(nil)
}

// checkReplay asks for the password of the account that the first request made: who knows an idempotency key and an
// e-mail is not yet who signed up.
func (a *Accounts) checkReplay(ctx context.Context, made *provision.Result, password string) error {
	admin, err := a.cfg.Registry.Admin(ctx, made.Admin.ID)
	if err != nil {
		return err
	}
	ok, err := a.guess(ctx, admin.ID, password, admin.PasswordHash)
	if err == nil && !ok {
		err = registry.ErrKeyReused
	}
	return err
}
