package accounts_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/pgtenancy/pgtenancy/authn/accounts"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// pad is a second factor for some tenants: each of its codes is good once.
type pad struct {
	mu      sync.Mutex // guards what follows
	tenants map[tenancy.ID]bool
	codes   map[string]bool
}

func (p *pad) Required(_ context.Context, m registry.Membership) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tenants[m.TenantID], nil
}

func (p *pad) Prove(_ context.Context, _ registry.Membership, code string) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	ok := p.codes[code]
	delete(p.codes, code)
	return ok, nil
}

func (p *pad) require(id tenancy.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tenants[id] = true
}

func newPad(codes ...string) *pad {
	p := &pad{tenants: map[tenancy.ID]bool{}, codes: map[string]bool{}}
	for _, c := range codes {
		p.codes[c] = true
	}
	return p
}

// factorTicket is the ticket of an err that asks for a code.
func factorTicket(t *testing.T, err error) string {
	t.Helper()
	var factor *accounts.SecondFactorError
	if !errors.As(err, &factor) {
		t.Fatalf("%v, want a second factor asked for", err)
	}
	return factor.Ticket.Reveal()
}

func TestSecondFactorIsAskedOnEveryWayToASession(t *testing.T) {
	t.Parallel()
	p := newPad("1", "2")
	h, own := inThree(t, func(c *accounts.Config) { c.SecondFactor = p })
	asked := own[1].Tenant.ID
	p.require(asked)
	in := accounts.SignIn{Email: "ada@example.org", Password: password, Tenant: asked}
	_, err := h.SignIn(t.Context(), in)
	ticket := factorTicket(t, err)
	if s := must(h.ProveFactor(t.Context(), ticket, "1", accounts.Client{}))(t); s.Tenant.ID != asked {
		t.Errorf("signed in to %s", s.Tenant.ID)
	}
	if _, err := h.ProveFactor(t.Context(), ticket, "1", accounts.Client{}); !errors.Is(err, accounts.ErrBadCode) {
		t.Errorf("a code that was used: %v", err)
	}
	choice := h.choice(t, password).Ticket.Reveal()
	if _, err := h.ProveFactor(t.Context(), choice, "2", accounts.Client{}); !errors.Is(err, accounts.ErrInvalidTicket) {
		t.Errorf("the ticket of a choice: %v", err)
	}
	if _, err := h.Choose(t.Context(), ticket, own[0].Tenant.ID, accounts.Client{}); !errors.Is(err,
		accounts.ErrInvalidTicket) {
		t.Errorf("the ticket of a second factor chose another tenant: %v", err)
	}
	_, err = h.Choose(t.Context(), choice, asked, accounts.Client{})
	must(h.ProveFactor(t.Context(), factorTicket(t, err), "2", accounts.Client{}))(t)

	signUp := form("new@example.org")
	signUp.IdempotencyKey = "k"
	s := must(h.SignUp(t.Context(), signUp))(t)
	p.require(s.Tenant.ID)
	_, err = h.SignUp(t.Context(), signUp)
	factorTicket(t, err)
}

func TestCodesAreThrottledAndEndWithThePassword(t *testing.T) {
	t.Parallel()
	p := newPad("1")
	h := newHouse(t, func(c *accounts.Config) { c.SecondFactor = p })
	s := h.signUp(t, "ada@example.org")
	p.require(s.Tenant.ID)
	in := accounts.SignIn{Email: "ada@example.org", Password: password}
	_, err := h.SignIn(t.Context(), in)
	ticket := factorTicket(t, err)
	for range 5 {
		if _, err := h.ProveFactor(t.Context(), ticket, "x", accounts.Client{}); !errors.Is(err, accounts.ErrBadCode) {
			t.Fatal(err)
		}
	}
	if _, err := h.ProveFactor(t.Context(), ticket, "1", accounts.Client{}); !errors.Is(err, accounts.ErrThrottled) {
		t.Errorf("the sixth attempt: %v", err)
	}
	if err := h.ChangePassword(t.Context(), h.identity(t, s), password, otherPassword); err != nil {
		t.Fatal(err)
	}
	if _, err := h.ProveFactor(t.Context(), ticket, "1", accounts.Client{}); !errors.Is(err, accounts.ErrInvalidTicket) {
		t.Errorf("the ticket outlived the password: %v", err)
	}
}
