package accounts_test

import (
	"errors"
	"testing"
	"time"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/authn/accounts"
	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// inThree has ada in three tenants, by one password; the sessions are hers, the oldest first.
func inThree(t *testing.T, configure ...func(*accounts.Config)) (*house, []*accounts.Session) {
	t.Helper()
	h := newHouse(t, configure...)
	h.severalTenants(t)
	sessions := []*accounts.Session{h.signUp(t, "ada@example.org")}
	for _, owner := range []string{"eve@example.org", "bob@example.org"} {
		by := accounts.ByAdmin(h.identity(t, h.signUp(t, owner)))
		sessions = append(sessions, h.join(t, by, "ada@example.org", member))
	}
	return h, sessions
}

func (h *house) choice(t *testing.T, pw string) *accounts.ChoiceError {
	t.Helper()
	_, err := h.SignIn(t.Context(), accounts.SignIn{Email: "ada@example.org", Password: pw})
	var choice *accounts.ChoiceError
	if !errors.As(err, &choice) {
		t.Fatalf("sign-in: %v, want a choice", err)
	}
	return choice
}

func TestPersonOfSeveralTenantsChoosesAfterOneKeyDerivation(t *testing.T) {
	t.Parallel()
	h, own := inThree(t)
	runs := h.Hasher.Runs()
	choice := h.choice(t, password)
	if runs = h.Hasher.Runs() - runs; runs != 1 || len(choice.Tenants) != 3 ||
		choice.Tenants[0].ID != own[0].Tenant.ID || choice.Tenants[0].Organization != "St Mary" {
		t.Errorf("%d key derivations, tenants %v", runs, choice.Tenants)
	}
	runs = h.Hasher.Runs()
	for _, s := range own {
		got := must(h.Choose(t.Context(), choice.Ticket.Reveal(), s.Tenant.ID, accounts.Client{}))(t)
		if got.Tenant.ID != s.Tenant.ID || got.Profile.ID != s.Profile.ID || got.Profile.Role != s.Profile.Role {
			t.Errorf("chose %s, is in %s", s.Tenant.ID, got.Tenant.ID)
		}
	}
	if runs = h.Hasher.Runs() - runs; runs != 0 {
		t.Errorf("%d key derivations to choose", runs)
	}
	in := accounts.SignIn{Email: "ada@example.org", Password: password, Tenant: own[2].Tenant.ID}
	if got := must(h.SignIn(t.Context(), in))(t); got.Tenant.ID != in.Tenant {
		t.Errorf("signed in to %s", got.Tenant.ID)
	}
	foreign := h.signUp(t, "mal@example.org")
	bad := map[string]func() (*accounts.Session, error){
		"a tenant of others": func() (*accounts.Session, error) {
			return h.Choose(t.Context(), choice.Ticket.Reveal(), foreign.Tenant.ID, accounts.Client{})
		},
		"an altered ticket": func() (*accounts.Session, error) {
			return h.Choose(t.Context(), "A"+choice.Ticket.Reveal()[1:], own[0].Tenant.ID, accounts.Client{})
		},
		"no ticket": func() (*accounts.Session, error) {
			return h.Choose(t.Context(), "", own[0].Tenant.ID, accounts.Client{})
		},
		"a ticket for something else": func() (*accounts.Session, error) {
			other := catalog.Of(h.Registry).SignTicket(catalog.NewTicket(catalog.TicketFactor, registry.Membership{
				TenantID: own[0].Tenant.ID, AdminID: own[0].Profile.ID,
			}, h.tenantHash(t, own[0]), time.Now().Add(time.Minute)))
			return h.Choose(t.Context(), other.Reveal(), own[0].Tenant.ID, accounts.Client{})
		},
		"a ticket that has expired": func() (*accounts.Session, error) {
			old := catalog.Of(h.Registry).SignTicket(catalog.NewTicket(catalog.TicketChoice, registry.Membership{
				TenantID: own[0].Tenant.ID, AdminID: own[0].Profile.ID,
			}, h.tenantHash(t, own[0]), time.Now()))
			return h.Choose(t.Context(), old.Reveal(), own[0].Tenant.ID, accounts.Client{})
		},
	}
	for name, choose := range bad {
		if _, err := choose(); !errors.Is(err, accounts.ErrInvalidTicket) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestChangedPasswordHoldsAtEveryTenantAndEndsTickets(t *testing.T) {
	t.Parallel()
	h, own := inThree(t)
	ticket := h.choice(t, password).Ticket.Reveal()
	const fresh = "an entirely new pass phrase"
	if err := h.ChangePassword(t.Context(), h.identity(t, own[1]), password, fresh); err != nil {
		t.Fatal(err)
	}
	if len(h.choice(t, fresh).Tenants) != 3 {
		t.Error("the tenants do not have one password any more")
	}
	for i, s := range own {
		if h.tenantHash(t, s) != h.tenantHash(t, own[1]) {
			t.Errorf("tenant %d has another hash", i)
		}
		_, err := h.Choose(t.Context(), ticket, s.Tenant.ID, accounts.Client{})
		if !errors.Is(err, accounts.ErrInvalidTicket) {
			t.Errorf("tenant %d: the ticket outlived the password: %v", i, err)
		}
		_, err = h.Refresh(t.Context(), s.RefreshToken.Reveal())
		if ended := errors.Is(err, accounts.ErrInvalidSession); ended != (i != 1) {
			t.Errorf("tenant %d: session: %v", i, err)
		}
	}
}

func TestStrongerHashIsAlikeAtEveryTenant(t *testing.T) {
	t.Parallel()
	h, own := inThree(t)
	h.configure(t, func(c *accounts.Config) {
		c.Hasher = must(authn.NewHasher(authn.HasherConfig{MemoryKiB: 128, Time: 1}))(t)
	})
	before := h.tenantHash(t, own[0])
	h.choice(t, password)
	if got := len(h.choice(t, password).Tenants); got != 3 || h.tenantHash(t, own[2]) == before {
		t.Errorf("%d tenants after the rehash", got)
	}
}

// TestChoiceDoesNotNeedTheOldestTenant has the first tenant suspended, whose hash the registry knows too.
func TestChoiceDoesNotNeedTheOldestTenant(t *testing.T) {
	t.Parallel()
	h, own := inThree(t)
	if err := h.cfg.Provisioner.Suspend(t.Context(), own[0].Tenant.ID); err != nil {
		t.Fatal(err)
	}
	h.Resolver.Invalidate(own[0].Tenant.ID, 0)
	choice := h.choice(t, password)
	if _, err := h.SignIn(t.Context(), accounts.SignIn{
		Email: "ada@example.org", Password: "not the right one",
	}); !errors.Is(err, accounts.ErrBadCredentials) {
		t.Errorf("a wrong password: %v", err)
	}
	must(h.Choose(t.Context(), choice.Ticket.Reveal(), own[1].Tenant.ID, accounts.Client{}))(t)
	_, err := h.Choose(t.Context(), choice.Ticket.Reveal(), own[0].Tenant.ID, accounts.Client{})
	if !errors.Is(err, tenancy.ErrSuspended) {
		t.Errorf("the suspended one: %v", err)
	}
}

// TestWrongPasswordOfSeveralTenantsTakesTheTimeOfAnUnknownEmail is the timing test of refusals for a person of several
// tenants: one key derivation, and no sooner and no later than an e-mail that leads nowhere.
func TestWrongPasswordOfSeveralTenantsTakesTheTimeOfAnUnknownEmail(t *testing.T) {
	h, _ := inThree(t, func(c *accounts.Config) { c.MinRefusal, c.Throttle.Account.Free = -1, 1<<30 })
	paths := []refusal{
		{"unknown e-mail", accounts.SignIn{Email: "nobody@example.org", Password: password}},
		{"several tenants", wrong("ada@example.org")},
	}
	rounds := pgtest.Size(4, 1000)
	bare := h.refuse(t, paths, rounds)
	floor := min(max(4*quantile(append(bare[0], bare[1]...), 0.9), 20*time.Millisecond), 150*time.Millisecond)
	h.configure(t, func(c *accounts.Config) { c.MinRefusal = floor })
	even := h.refuse(t, paths, rounds)
	with := auc(even[0], even[1])
	pgtest.Figure(t, "S4", "a person of three tenants against an unknown e-mail: AUC %.3f, MinRefusal %v", with, floor)
	if pgtest.Full() && (with < 0.48 || with > 0.52) {
		t.Errorf("the time tells: AUC %.3f", with)
	}
	for i := range paths {
		if least := quantile(even[i], 0); least < floor {
			t.Errorf("%s: refused after %v", paths[i].name, least)
		}
	}
}
