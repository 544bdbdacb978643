package accounts_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/pgtenancy/pgtenancy/authn/accounts"
	"github.com/pgtenancy/pgtenancy/registry"
)

// outbox is a Mailer that keeps what it is given.
type outbox struct {
	mu    sync.Mutex // guards what follows
	mails []accounts.Message
	fails int // so many more times
}

func (o *outbox) Mail(_ context.Context, m accounts.Message) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.fails > 0 {
		o.fails--
		return errors.New("550 no such user ada@example.org")
	}
	o.mails = append(o.mails, m)
	return nil
}

// take returns what was mailed since the last call.
func (o *outbox) take() []accounts.Message {
	o.mu.Lock()
	defer o.mu.Unlock()
	mails := o.mails
	o.mails = nil
	return mails
}

func mailing(o *outbox) func(*accounts.Config) { return func(c *accounts.Config) { c.Mailer = o } }

// mailed is one pass of Run, and the one mail that it sends.
func (h *house) mailed(t *testing.T, o *outbox, kind accounts.MessageKind, to string) string {
	t.Helper()
	if err := accounts.Work(t.Context(), h.Accounts); err != nil {
		t.Fatal(err)
	}
	mails := o.take()
	if len(mails) != 1 || mails[0].Kind != kind || mails[0].To.Reveal() != to {
		t.Fatalf("%d mails: %v, want %s", len(mails), mails, kind)
	}
	return mails[0].Token.Reveal()
}

func TestResetSetsThePasswordAtEveryTenantAndEndsAllSessions(t *testing.T) {
	t.Parallel()
	var o outbox
	h, own := inThree(t, mailing(&o))
	request := func() string {
		if err := h.RequestPasswordReset(t.Context(), "Ada@example.org", netip.Addr{}); err != nil {
			t.Fatal(err)
		}
		return h.mailed(t, &o, accounts.MailReset, "Ada@example.org")
	}
	unused, token := request(), request()
	var invalid *accounts.InputError
	if err := h.ResetPassword(t.Context(), token, "password"); !errors.As(err, &invalid) {
		t.Errorf("a common password: %v", err)
	}
	if err := h.ChangeEmail(t.Context(), token); !errors.Is(err, accounts.ErrInvalidToken) {
		t.Errorf("a token is good for something else: %v", err)
	}
	if err := h.ResetPassword(t.Context(), token, otherPassword); err != nil {
		t.Fatal(err)
	}
	for _, used := range []string{token, unused, ""} {
		if err := h.ResetPassword(t.Context(), used, password); !errors.Is(err, accounts.ErrInvalidToken) {
			t.Errorf("a token is good twice, or after another was used: %v", err)
		}
	}
	if got := len(h.choice(t, otherPassword).Tenants); got != 3 {
		t.Errorf("%d tenants have the password", got)
	}
	for i, s := range own {
		if _, err := h.Refresh(t.Context(), s.RefreshToken.Reveal()); !errors.Is(err, accounts.ErrInvalidSession) {
			t.Errorf("tenant %d: a session outlived the reset: %v", i, err)
		}
	}
}

func TestRequestOfAnUnknownEmailIsTheSameAndSendsNothing(t *testing.T) {
	t.Parallel()
	var o outbox
	h := newHouse(t, mailing(&o))
	h.signUp(t, "ada@example.org")
	for _, address := range []string{"nobody@example.org", "ada@example.org"} {
		if err := h.RequestPasswordReset(t.Context(), address, netip.Addr{}); err != nil {
			t.Fatal(err)
		}
	}
	h.mailed(t, &o, accounts.MailReset, "ada@example.org")
	var after []error
	for _, address := range []string{"nobody@example.org", "ada@example.org"} {
		var err error
		for range 4 {
			err = h.RequestPasswordReset(t.Context(), address, netip.Addr{})
		}
		after = append(after, err)
	}
	if !errors.Is(after[0], accounts.ErrThrottled) || !errors.Is(after[1], accounts.ErrThrottled) {
		t.Errorf("throttled: %v", after)
	}
}

func TestMailThatFailsIsSentLaterAndLeaksNoAddress(t *testing.T) {
	t.Parallel()
	o := outbox{fails: 1}
	h := newHouse(t, mailing(&o))
	h.signUp(t, "ada@example.org")
	if err := h.RequestPasswordReset(t.Context(), "ada@example.org", netip.Addr{}); err != nil {
		t.Fatal(err)
	}
	if err := accounts.Work(t.Context(), h.Accounts); err == nil || strings.Contains(err.Error(), "ada@") {
		t.Errorf("the first attempt: %v", err)
	}
	if _, err := h.Catalog.Exec(t.Context(), `UPDATE pgtenancy.mails SET claim_expires = now()`); err != nil {
		t.Fatal(err)
	}
	h.mailed(t, &o, accounts.MailReset, "ada@example.org")
}

func TestEmailIsChangedInBothRowsByTheOwnerOfTheNewOne(t *testing.T) {
	t.Parallel()
	var o outbox
	h := newHouse(t, mailing(&o))
	ada := h.signUp(t, "ada@example.org")
	h.signUp(t, "eve@example.org")
	id := h.identity(t, ada)
	if err := h.RequestEmailChange(t.Context(), id, "not the right one", "b@example.org"); !errors.Is(err,
		accounts.ErrBadCredentials) {
		t.Errorf("a wrong password: %v", err)
	}
	request := func(address string) string {
		if err := h.RequestEmailChange(t.Context(), id, password, address); err != nil {
			t.Fatal(err)
		}
		return h.mailed(t, &o, accounts.MailNewEmail, address)
	}
	if err := h.ChangeEmail(t.Context(), request("eve@example.org")); !errors.Is(err, registry.ErrEmailTaken) {
		t.Errorf("another's e-mail: %v", err)
	}
	token := request("byron@example.org")
	if err := h.ChangeEmail(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	h.mailed(t, &o, accounts.MailEmailChanged, "ada@example.org")
	if err := h.ChangeEmail(t.Context(), token); !errors.Is(err, accounts.ErrInvalidToken) {
		t.Errorf("good twice: %v", err)
	}
	s := must(h.SignIn(t.Context(), accounts.SignIn{Email: "byron@example.org", Password: password}))(t)
	if s.Profile.Email != "byron@example.org" || s.Profile.ID != ada.Profile.ID {
		t.Errorf("signed in as %v", s.Profile)
	}
	_, err := h.SignIn(t.Context(), accounts.SignIn{Email: "ada@example.org", Password: password})
	if !errors.Is(err, accounts.ErrBadCredentials) {
		t.Errorf("the old e-mail: %v", err)
	}
	h.signUp(t, "ada@example.org") // it is free
}

func TestVerifiedSignUpCostsNoDatabaseBefore(t *testing.T) {
	t.Parallel()
	var o outbox
	h := newHouse(t, mailing(&o), func(c *accounts.Config) { c.VerifyEmail = true })
	if _, err := h.SignUp(t.Context(), form("ada@example.org")); !errors.Is(err, accounts.ErrUnverified) {
		t.Errorf("unverified: %v", err)
	}
	in := form("ada@example.org")
	in.Password = ""
	if err := h.RequestSignUp(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	token := h.mailed(t, &o, accounts.MailSignUp, "ada@example.org")
	if tenants := must(h.Registry.Tenants(t.Context(), "", 10))(t); len(tenants) != 0 {
		t.Errorf("%d tenants before the e-mail was verified", len(tenants))
	}
	var invalid *accounts.InputError
	_, err := h.CompleteSignUp(t.Context(), accounts.Completion{Token: token, Password: "example-1815"})
	if !errors.As(err, &invalid) {
		t.Errorf("a password of the e-mail's words: %v", err)
	}
	done := accounts.Completion{Token: token, Password: password}
	s := must(h.CompleteSignUp(t.Context(), done))(t)
	if s.Organization.Name != "St Mary" || s.Profile.FirstName != "Ada" {
		t.Errorf("made %v for %v", s.Organization.Name, s.Profile)
	}
	if _, err := h.CompleteSignUp(t.Context(), done); !errors.Is(err, accounts.ErrInvalidToken) {
		t.Errorf("good twice: %v", err)
	}
}
