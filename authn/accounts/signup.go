package accounts

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/internal/catalog"
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

	// IdempotencyKey makes a repetition safe: the same key with the same fields, for a day, signs in to what the first
	// made, if the tenant's database still knows that admin with that password. Of repetitions at once one does the work.
	// Empty: every call is a new sign-up.
	IdempotencyKey string

	// Addr is the client's address, and UserAgent what it calls itself, as in SignIn.
	Addr      netip.Addr
	UserAgent string

	// Progress is called when each step begins. It must not block. It may be nil.
	Progress func(step string)
}

// Format implements [fmt.Formatter]: a sign-up prints none of its fields.
func (SignUp) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("a sign-up")) }

// LogValue implements [slog.LogValuer].
func (SignUp) LogValue() slog.Value { return slog.StringValue("a sign-up") }

// SignUp makes an organization with a database of its own and its first admin, and signs that admin in. ctx governs the
// whole sign-up; when it ends early, the started steps are undone in the background.
//
// It returns *[InputError] for fields that are wrong, registry.ErrEmailTaken, registry.ErrEmailBusy,
// registry.ErrKeyReused when the idempotency key was used with other fields or with a password that the tenant's
// database would not take, [ErrThrottled] after too many sign-ups (see [Throttle]), authn.ErrBusy when too many
// passwords are being hashed, or the error of [provision.Provisioner.Create], after which no account exists or will
// exist, or, if only the answer was lost, a whole one: an IdempotencyKey tells which. With [ErrNotSignedIn] the account
// is there, and the person can sign in.
//
// With Config.VerifyEmail it returns [ErrUnverified]: see [Accounts.RequestSignUp].
func (a *Accounts) SignUp(ctx context.Context, s SignUp) (*Session, error) {
	if a.cfg.VerifyEmail {
		return nil, ErrUnverified
	}
	return a.signUp(ctx, s)
}

func (a *Accounts) signUp(ctx context.Context, s SignUp) (*Session, error) {
	email, err := s.check(a.cfg.Hasher)
	if err != nil {
		return nil, err
	}
	var made *signedUp
	if s.IdempotencyKey == "" {
		made, err = a.make(ctx, s, email)
	} else {
		made, err = a.flights.do(ctx, s.flightKey(email),
			func(ctx context.Context) (*signedUp, error) { return a.make(ctx, s, email) })
	}
	if err != nil {
		return nil, err
	}
	client := catalog.Client{Addr: s.Addr, UserAgent: s.UserAgent}
	var session *Session
	if made.replayed {
		session, err = a.open(ctx, made.member(), made.profile, s.Password, client)
		if errors.Is(err, ErrBadCredentials) {
			return nil, registry.ErrKeyReused
		}
		if isFactor(err) {
			return nil, err
		}
	} else {
		session, err = a.begin(ctx, made.Tenant, made.Organization, made.profile, client)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotSignedIn, err)
	}
	return session, nil
}

// signedUp is what a sign-up has made, or found that it had made before.
type signedUp struct {
	*provision.Result
	profile  Profile // the row in the tenant's database: written just now, or read there
	replayed bool
}

func (s *signedUp) member() registry.Membership {
	return registry.Membership{TenantID: s.Tenant.ID, AdminID: s.profile.ID}
}

// make makes the tenant, or has a repeated request prove that the tenant is its own.
func (a *Accounts) make(ctx context.Context, s SignUp, email registry.Email) (*signedUp, error) {
	admission, err := a.admitSignUp(ctx, s)
	if err != nil {
		return nil, err
	}
	hash, err := a.cfg.Hasher.Hash(ctx, s.Password)
	if err != nil { // nothing was made, and nothing told
		a.withdrawn(ctx, admission)
		return nil, passwordError(err)
	}
	result, err := a.cfg.Provisioner.Create(ctx, a.creation(s, email, hash))
	if err != nil {
		return nil, err
	}
	made := &signedUp{Result: result, replayed: result.Replayed, profile: Profile{
		ID: result.Admin.ID, Email: email.Reveal(), Role: result.Admin.Role,
		FirstName: s.FirstName, LastName: s.LastName, PasswordHash: hash,
	}}
	if made.replayed {
		made.profile, err = a.proveReplay(ctx, made.member(), s, email)
	}
	if err != nil {
		return nil, err
	}
	a.cfg.Logger.LogAttrs(ctx, slog.LevelInfo, "signed up", slog.String("tenant", string(made.Tenant.ID)),
		slog.String("admin", made.profile.ID), slog.Bool("replayed", made.replayed))
	return made, nil
}

// proveReplay is a sign-in, and counts as one: a caller with an idempotency key and an e-mail has not proved to be the
// person that signed up, and that person may be no admin any more, or have another role or password.
func (a *Accounts) proveReplay(ctx context.Context, m registry.Membership, s SignUp,
	email registry.Email,
) (Profile, error) {
	if m.AdminID == "" {
		return Profile{}, registry.ErrKeyReused
	}
	admission, err := a.admit(ctx, a.cfg.Throttle.forSignIn(SignIn{Addr: s.Addr}, email))
	if err != nil {
		return Profile{}, err
	}
	profile, err := a.prove(ctx, m, s.Password, admission)
	switch {
	case errors.Is(err, ErrBadCredentials):
		err = registry.ErrKeyReused
	case errors.Is(err, authn.ErrBusy):
		a.withdrawn(ctx, admission)
	}
	return profile, err
}

func (a *Accounts) admitSignUp(ctx context.Context, s SignUp) (*catalog.Admission, error) {
	leave, err := a.enter(a.signUps)
	if err != nil {
		return nil, err
	}
	defer leave()
	return a.admit(ctx, a.cfg.Throttle.forSignUp(s))
}

func (a *Accounts) creation(s SignUp, email registry.Email, hash string) provision.Request {
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

// hash covers the request except the password, because a fast hash of a password must not be stored. The
// registry keys it again, so that it does not give the e-mail away either.
func (s SignUp) hash(email registry.Email) []byte {
	h := sha256.New()
	for _, field := range []string{email.Reveal(), s.FirstName, s.LastName, s.Organization} {
		_, _ = fmt.Fprintf(h, "%d:%s", len(field), field)
	}
	return h.Sum(nil)
}

// flightKey is of all that was asked for. It stays in memory.
func (s SignUp) flightKey(email registry.Email) flightKey {
	h := sha256.New()
	for _, field := range []string{s.IdempotencyKey, s.Password, string(s.hash(email))} {
		_, _ = fmt.Fprintf(h, "%d:%s", len(field), field)
	}
	return flightKey(h.Sum(nil))
}
