package accounts_test

import (
	"context"
	"errors"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/pgtenancy/pgtenancy/authn/accounts"
)

func TestSessionsAreListedAndEndedOneByOneAndAllAtOnce(t *testing.T) {
	h := newHouse(t)
	from := netip.MustParseAddr("2001:db8::1")
	first := h.signUp(t, "ada@example.org")
	in := func() *accounts.Session {
		return must(h.SignIn(t.Context(), accounts.SignIn{
			Email: "ada@example.org", Password: password, Addr: from, UserAgent: "Browser/1.0",
		}))(t)
	}
	stranger := h.signUp(t, "bob@example.org")
	second := in()
	id := h.identity(t, first)
	sessions := must(h.Sessions(t.Context(), id))(t)
	if len(sessions) != 2 || sessions[0].Current || !sessions[1].Current || sessions[1].ID != id.Session {
		t.Fatalf("%v", sessions)
	}
	if s := sessions[0]; s.Addr != from || s.UserAgent != "Browser/1.0" {
		t.Errorf("from %v with %q", s.Addr, s.UserAgent)
	}
	if s := sessions[1]; s.Addr.IsValid() || s.UserAgent != "" {
		t.Errorf("from %v with %q", s.Addr, s.UserAgent)
	}
	ended := func(s *accounts.Session, want bool) {
		t.Helper()
		next, err := h.Refresh(t.Context(), s.RefreshToken.Reveal())
		if errors.Is(err, accounts.ErrInvalidSession) != want {
			t.Errorf("ended: %v, want %t", err, want)
		}
		if err == nil {
			s.RefreshToken = next.RefreshToken
		}
	}
	for _, other := range []string{h.identity(t, stranger).Session, "nowhere"} {
		if err := h.SignOutSession(t.Context(), id, other); err != nil {
			t.Error(err)
		}
	}
	ended(stranger, false)
	if err := h.SignOutSession(t.Context(), id, h.identity(t, second).Session); err != nil {
		t.Error(err)
	}
	ended(second, true)
	third := in()
	if err := h.SignOutElsewhere(t.Context(), id); err != nil {
		t.Error(err)
	}
	ended(third, true)
	ended(first, false)
	fourth := in()
	if err := h.SignOutEverywhere(t.Context(), id); err != nil {
		t.Error(err)
	}
	ended(fourth, true)
	ended(first, true)
	ended(stranger, false)
	fifth := in() // a token of an ended session does nothing to live ones
	for what, do := range map[string]func() error{
		"everywhere": func() error { return h.SignOutEverywhere(t.Context(), id) },
		"elsewhere":  func() error { return h.SignOutElsewhere(t.Context(), id) },
		"one":        func() error { return h.SignOutSession(t.Context(), id, h.identity(t, fifth).Session) },
		"list":       func() error { _, err := h.Sessions(t.Context(), id); return err },
	} {
		if err := do(); !errors.Is(err, accounts.ErrInvalidSession) {
			t.Errorf("%s: %v, want ErrInvalidSession", what, err)
		}
	}
	ended(fifth, false)
}

func TestSessionThatIsNotRefreshedEndsAfterTwoWeeks(t *testing.T) {
	h := newHouse(t)
	for days, want := range map[int]error{13: nil, 15: accounts.ErrInvalidSession} {
		s := must(h.SignUp(t.Context(), form(map[int]string{13: "ada@example.org", 15: "bob@example.org"}[days])))(t)
		if _, err := h.Catalog.Exec(t.Context(),
			`UPDATE pgtenancy.sessions SET rotated_at = now() - $2::interval WHERE id = $1`,
			h.identity(t, s).Session, time.Duration(days)*24*time.Hour); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Refresh(t.Context(), s.RefreshToken.Reveal()); !errors.Is(err, want) {
			t.Errorf("after %d days: %v, want %v", days, err, want)
		}
	}
}

// TestHonestBurstOfOneSignUpIsNotThrottled: 25 repetitions at once were taken for guesses, and for a flood.
func TestHonestBurstOfOneSignUpIsNotThrottled(t *testing.T) {
	h := newHouse(t)
	f := form("ada@example.org")
	f.IdempotencyKey, f.Addr = "key", netip.MustParseAddr("192.0.2.1")
	for round := range 2 { // the second repeats the first's keys
		before := h.Hasher.Runs()
		var all sync.WaitGroup
		for range 25 {
			all.Go(func() {
				s, err := h.SignUp(t.Context(), f)
				if err != nil || h.identity(t, s).Role != accounts.RolePrimary {
					t.Errorf("round %d: %v", round, err)
				}
			})
		}
		all.Wait()
		if runs := h.Hasher.Runs() - before; runs > 25 {
			t.Errorf("round %d: %d key derivations", round, runs)
		}
	}
}

func TestRepetitionIsFinishedWhenTheFirstClientGoes(t *testing.T) {
	h := newHouse(t)
	begun, on := make(chan struct{}), make(chan struct{})
	f := form("ada@example.org")
	f.IdempotencyKey = "key"
	f.Progress = func(step string) {
		if step == "seed" {
			close(begun)
			<-on
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	first, second := make(chan error, 1), make(chan error, 1)
	go func() { _, err := h.SignUp(ctx, f); first <- err }()
	<-begun
	f.Progress = nil
	go func() { _, err := h.SignUp(t.Context(), f); second <- err }()
	for accounts.Waiting(h.Accounts) < 2 {
		runtime.Gosched()
	}
	cancel()
	close(on)
	if err := <-second; err != nil {
		t.Errorf("the repetition: %v", err)
	}
	if err := <-first; err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("the first: %v", err)
	}
}
