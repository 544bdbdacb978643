package accounts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Invite is whom to ask to become an admin of a tenant.
type Invite struct {
	Email string
	Role  string

	// TTL is how long the invitation is good. Default: 7 days.
	TTL time.Duration
}

// Format implements [fmt.Formatter]: an e-mail is personal data.
func (Invite) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("an invite")) }

// LogValue implements [slog.LogValuer].
func (Invite) LogValue() slog.Value { return slog.StringValue("an invite") }

// Invitation is a place at a tenant that a person has been offered. It prints its id and role only.
type Invitation struct {
	ID           string
	Token        tenancy.Secret // for Accept; from Invite only
	TenantID     tenancy.ID
	Organization string         // its name; from LookAtInvitation only
	Email        registry.Email // whom it is for
	Role         string
	Known        bool // the person has a password already; from LookAtInvitation only
	CreatedAt    time.Time
	ExpiresAt    time.Time
}

// Format implements [fmt.Formatter].
func (i Invitation) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "invitation %s to tenant %q (%s)", i.ID, string(i.TenantID), i.Role)
}

// invitationData is what the registry keeps of an invitation, sealed.
type invitationData struct {
	Email string `json:"email"`
	Role  string `json:"role"`
}

const inviteTTL = 7 * 24 * time.Hour

// Invite offers a place at the manager's tenant to the person with that e-mail, and returns the invitation with its
// token, of which the registry keeps a hash. Send it to that e-mail and nowhere else: the holder of the token is taken
// for the owner of the address. ctx governs the whole of it.
//
// It returns *[InputError], [ErrForbidden], or registry.ErrEmailTaken if that person is an admin of this tenant
// already. That an e-mail has an account elsewhere, it does not tell.
func (a *Accounts) Invite(ctx context.Context, by Manager, in Invite) (*Invitation, error) {
	fields := map[string]string{}
	email, err := registry.ParseEmail(in.Email)
	if err != nil {
		fields["email"] = "must be an e-mail address"
	}
	if problem := checkRole(in.Role); problem != "" {
		fields["role"] = problem
	}
	if len(fields) > 0 {
		return nil, &InputError{Fields: fields}
	}
	ctx, err = a.authorize(ctx, by, in.Role)
	if err != nil {
		return nil, err
	}
	members, err := a.catalog.Members(ctx, email)
	if err != nil {
		return nil, err
	}
	for _, m := range members {
		if m.TenantID == by.tenant {
			return nil, registry.ErrEmailTaken
		}
	}
	data, _ := json.Marshal(invitationData{Email: email.Reveal(), Role: in.Role}) // two strings always marshal
	t := &catalog.Token{Kind: catalog.TokenInvite, TenantID: tenancy.ID(strings.Clone(string(by.tenant))), Data: data}
	ttl := in.TTL
	if ttl <= 0 {
		ttl = inviteTTL
	}
	secret, err := a.catalog.PutToken(ctx, t, ttl)
	if err != nil {
		return nil, err
	}
	invitation, err := invitationOf(*t)
	if err != nil {
		return nil, err
	}
	invitation.Token = secret
	return invitation, nil
}

func invitationOf(t catalog.Token) (*Invitation, error) {
	var d invitationData
	if err := json.Unmarshal(t.Data, &d); err != nil {
		return nil, fmt.Errorf("accounts: invitation %q: unreadable", t.ID)
	}
	email, err := registry.ParseEmail(d.Email)
	if err != nil {
		return nil, fmt.Errorf("accounts: invitation %q: %w", t.ID, err)
	}
	return &Invitation{
		ID: t.ID, TenantID: t.TenantID, Email: email, Role: d.Role, CreatedAt: t.CreatedAt, ExpiresAt: t.ExpiresAt,
	}, nil
}

// Invitations returns the invitations to the manager's tenant that are good, the newest first, without their tokens.
// ctx governs the whole of it.
func (a *Accounts) Invitations(ctx context.Context, by Manager) ([]Invitation, error) {
	ctx, err := a.authorize(ctx, by, "")
	if err != nil {
		return nil, err
	}
	tokens, err := a.catalog.Invitations(ctx, by.tenant)
	errs := []error{err}
	var invitations []Invitation
	for _, t := range tokens {
		i, err := invitationOf(t)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		invitations = append(invitations, *i)
	}
	return invitations, errors.Join(errs...)
}

// RevokeInvitation makes an invitation to the manager's tenant worthless. An unknown one is no error. ctx
// governs the whole of it.
func (a *Accounts) RevokeInvitation(ctx context.Context, by Manager, invitationID string) error {
	ctx, err := a.authorize(ctx, by, "")
	if err != nil {
		return err
	}
	return a.catalog.RevokeInvitation(ctx, by.tenant, invitationID)
}

// LookAtInvitation returns what a token of Invite stands for, for the page that asks whether to accept, or
// ErrInvalidToken. It leaves the token good. ctx governs the queries.
func (a *Accounts) LookAtInvitation(ctx context.Context, token string) (*Invitation, error) {
	t, err := a.catalog.Token(ctx, catalog.TokenInvite, tenancy.NewSecret(token))
	if err != nil {
		return nil, err
	}
	i, err := invitationOf(t)
	if err != nil {
		return nil, err
	}
	tenant, err := a.catalog.TenantWithoutSecrets(ctx, i.TenantID)
	if err != nil {
		return nil, err
	}
	members, err := a.catalog.Members(ctx, i.Email)
	if err != nil {
		return nil, err
	}
	i.Organization, i.Known = tenant.Organization.Name, len(members) > 0
	return i, nil
}
