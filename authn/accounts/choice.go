package accounts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/internal/status"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// ticketTTL is how long a person may take to choose a tenant, or to give a second factor.
const ticketTTL = 5 * time.Minute

// ChoiceError says that the password is right, and at which tenants: the person chooses, and [Accounts.Choose] opens
// the session. Its status is 409: the request cannot be fulfilled as it is, and can with a tenant. Nothing of it
// reaches a client unless the caller writes it. It prints none of its fields.
type ChoiceError struct {
	Tenants []TenantChoice // in the order in which the person came to them
	Ticket  tenancy.Secret // for Choose; good for 5 minutes
}

// TenantChoice is a tenant that a person may sign in to.
type TenantChoice struct {
	ID           tenancy.ID
	Organization string // its name
	State        tenancy.State
}

// Error names no tenant.
func (*ChoiceError) Error() string { return "accounts: several tenants to choose from" }

// Format implements [fmt.Formatter].
func (e *ChoiceError) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, e.Error()) }

// HTTPStatus is 409, for middleware.StatusCode.
func (*ChoiceError) HTTPStatus() int { return status.Conflict }

// ProblemDetail is for middleware.WriteProblem.
func (*ChoiceError) ProblemDetail() string { return "Choose an organization to sign in to." }

// sharing returns those of members that have the first one's hash.
func sharing(members []catalog.Member) []catalog.Member {
	var same []catalog.Member
	for _, m := range members {
		if m.PasswordHash == members[0].PasswordHash {
			same = append(same, m)
		}
	}
	return same
}

// offer returns the *ChoiceError for a person whose password has that hash.
func (a *Accounts) offer(ctx context.Context, members []catalog.Member, hash string) error {
	choice := &ChoiceError{}
	for _, m := range members {
		t, err := a.catalog.TenantWithoutSecrets(ctx, m.TenantID)
		if errors.Is(err, tenancy.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		choice.Tenants = append(choice.Tenants,
			TenantChoice{ID: t.ID, Organization: t.Organization.Name, State: t.State})
	}
	choice.Ticket = a.catalog.SignTicket(catalog.NewTicket(catalog.TicketChoice, members[0].Membership, hash,
		time.Now().Add(ticketTTL)))
	return choice
}

// Choose signs in to one of the tenants of a [ChoiceError], by its ticket. It returns [ErrInvalidTicket] for a ticket
// that is expired or not for this, for a tenant that the person has no place at, and where the tenant's database has
// another hash than the one that was proved; a *[SecondFactorError]; or what SignIn returns to a caller with the
// password. ctx governs the whole of it.
func (a *Accounts) Choose(ctx context.Context, ticket string, tenant tenancy.ID, c Client) (*Session, error) {
	t, err := a.catalog.ReadTicket(catalog.TicketChoice, tenancy.NewSecret(ticket), time.Now())
	if err != nil {
		return nil, err
	}
	members, err := a.catalog.MembersOf(ctx, t.Member.AdminID)
	if err != nil {
		return nil, err
	}
	for _, m := range members {
		if m.TenantID != tenant {
			continue
		}
		profile, err := a.proved(ctx, t, m.Membership)
		if err != nil {
			return nil, err
		}
		return a.withTicket(a.open(ctx, m.Membership, profile, "", catalog.Client(c)))
	}
	return nil, ErrInvalidTicket
}

// proved returns the admin's row if it has a hash of the password that the ticket is for.
func (a *Accounts) proved(ctx context.Context, t catalog.Ticket, m registry.Membership) (Profile, error) {
	profile, err := a.find(ctx, m)
	if errors.Is(err, ErrProfileNotFound) || err == nil && !t.Proves(profile.PasswordHash) {
		return Profile{}, ErrInvalidTicket
	}
	return profile, err
}

// withTicket names the ticket, and no password, where the password was changed while the session was opened.
func (a *Accounts) withTicket(s *Session, err error) (*Session, error) {
	if errors.Is(err, ErrBadCredentials) {
		return nil, ErrInvalidTicket
	}
	return s, err
}
