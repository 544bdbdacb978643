package accounts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"

	"github.com/nrednav/cuid2"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Acceptance is what a person fills in who accepts an invitation.
type Acceptance struct {
	Token string // of the invitation

	// Password is a new one, or that which the person signs in to their other tenants with.
	Password string

	// FirstName and LastName may be empty for a person of another tenant: they are the same then.
	FirstName string
	LastName  string

	// Addr is the client's address, and UserAgent what it calls itself, as in SignIn.
	Addr      netip.Addr
	UserAgent string
}

// Format implements [fmt.Formatter]: an acceptance prints none of its fields.
func (Acceptance) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("an acceptance")) }

// LogValue implements [slog.LogValuer].
func (Acceptance) LogValue() slog.Value { return slog.StringValue("an acceptance") }

// Accept makes the invited person an admin of the tenant, in both rows, and signs them in. A new person sets a
// password. A person of another tenant proves their password, by one key derivation; its hash is copied.
//
// It returns ErrInvalidToken for an invitation that is unknown, accepted, revoked or expired, *[InputError],
// [ErrBadCredentials] for a wrong password of a known person, [ErrThrottled], registry.ErrEmailTaken, and
// authn.ErrBusy; the invitation is good still. After [ErrUnfinished] the person is an admin, and can sign in as soon as
// Run has finished it; after [ErrNotSignedIn] at once. ctx governs it until the registry has decided.
func (a *Accounts) Accept(ctx context.Context, in Acceptance) (*Session, error) {
	token := tenancy.NewSecret(in.Token)
	t, err := a.catalog.Token(ctx, catalog.TokenInvite, token)
	if err != nil {
		return nil, err
	}
	invitation, err := invitationOf(t)
	if err != nil {
		return nil, err
	}
	profile, err := a.accepting(ctx, &in, invitation)
	if err != nil {
		return nil, err
	}
	client := Client{Addr: in.Addr, UserAgent: in.UserAgent}
	ctx = acting(ctx, profile.ID, client)
	m := registry.Membership{TenantID: t.TenantID, AdminID: profile.ID}
	c := a.newChange(catalog.ChangeAdd, m, changeData{
		Email: profile.Email, FirstName: profile.FirstName, LastName: profile.LastName, Role: profile.Role,
		PasswordHash: profile.PasswordHash,
	})
	admin := registry.Admin{
		ID: profile.ID, Email: invitation.Email, PasswordHash: profile.PasswordHash, Role: profile.Role,
	}
	if err := a.change(ctx, c, func(ctx context.Context) error {
		return a.catalog.AddAdmin(ctx, token, admin, c, changeTTL)
	}); err != nil {
		return nil, err
	}
	session, err := a.open(ctx, m, profile, in.Password, catalog.Client(client))
	if err != nil && !isFactor(err) {
		err = fmt.Errorf("%w: %w", ErrNotSignedIn, err)
	}
	return session, err
}

// accepting returns the row that the tenant's database gets, with the hash of a password that is right.
func (a *Accounts) accepting(ctx context.Context, in *Acceptance, i *Invitation) (Profile, error) {
	leave, err := a.enter(a.signUps)
	if err != nil {
		return Profile{}, err
	}
	defer leave()
	members, err := a.catalog.Members(ctx, i.Email)
	if err != nil {
		return Profile{}, err
	}
	p := Profile{
		ID: cuid2.Generate(), Email: i.Email.Reveal(), Role: i.Role,
		FirstName: strings.Clone(strings.TrimSpace(in.FirstName)), LastName: strings.Clone(strings.TrimSpace(in.LastName)),
	}
	if len(members) == 0 {
		return p, a.newPerson(ctx, in, i, &p)
	}
	admission, err := a.admit(ctx, a.cfg.Throttle.forSignIn(SignIn{Addr: in.Addr}, i.Email))
	if err != nil {
		return Profile{}, err
	}
	known, err := a.prove(ctx, members[0].Membership, in.Password, admission)
	if errors.Is(err, authn.ErrBusy) {
		a.withdrawn(ctx, admission)
	}
	if err != nil {
		return Profile{}, err
	}
	p.PasswordHash = known.PasswordHash
	if p.FirstName == "" && p.LastName == "" {
		p.FirstName, p.LastName = known.FirstName, known.LastName
	}
	return p, checkPerson(&p, nil)
}

// newPerson checks what a new person has filled in, and hashes the password.
func (a *Accounts) newPerson(ctx context.Context, in *Acceptance, i *Invitation, p *Profile) error {
	tenant, err := a.catalog.TenantWithoutSecrets(ctx, i.TenantID)
	if err != nil {
		return err
	}
	if err := checkPerson(p, a.cfg.Hasher.Check(in.Password, tenant.Organization.Name, p.Email)); err != nil {
		return err
	}
	p.PasswordHash, err = a.cfg.Hasher.Hash(ctx, in.Password)
	return passwordError(err)
}

// checkPerson returns an *InputError for names that are wrong, and for a password of which wrong tells.
func checkPerson(p *Profile, wrong error) error {
	fields := map[string]string{}
	for name, value := range map[string]string{"firstName": p.FirstName, "lastName": p.LastName} {
		if problem := checkName(value); problem != "" {
			fields[name] = problem
		}
	}
	var rule *InputError
	if errors.As(passwordError(wrong), &rule) {
		for name, problem := range rule.Fields {
			fields[name] = problem
		}
	}
	if len(fields) > 0 {
		return &InputError{Fields: fields}
	}
	return nil
}
