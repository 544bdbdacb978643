package accounts_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/authn/accounts"
)

func TestRefreshExchangesTheTokenAndALateReuseEndsTheSession(t *testing.T) {
	h := newHouse(t)
	s := h.signUp(t, "ada@example.org")
	second := must(h.Refresh(t.Context(), s.RefreshToken.Reveal()))(t)
	if second.RefreshToken == s.RefreshToken {
		t.Fatal("the refresh token was not exchanged")
	}
	if got, want := h.identity(t, second).Session, h.identity(t, s).Session; got != want {
		t.Errorf("session %s after refresh, want %s", got, want)
	}
	if second.Profile.FirstName != "Ada" {
		t.Error("the profile is not the tenant's")
	}
	third := must(h.Refresh(t.Context(), second.RefreshToken.Reveal()))(t)

	// The first token is two exchanges old: stolen, or kept by somebody.
	if _, err := h.Refresh(t.Context(), s.RefreshToken.Reveal()); !errors.Is(err, accounts.ErrSessionReused) {
		t.Fatalf("got %v, want ErrSessionReused", err)
	}
	if _, err := h.Refresh(t.Context(), third.RefreshToken.Reveal()); !errors.Is(err, accounts.ErrInvalidSession) {
		t.Errorf("the session outlived the reuse: %v", err)
	}
}

func TestSignOutEndsTheSession(t *testing.T) {
	h := newHouse(t)
	s := h.signUp(t, "ada@example.org")
	id := h.identity(t, s)
	for range 2 {
		if err := h.SignOut(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.Refresh(t.Context(), s.RefreshToken.Reveal()); !errors.Is(err, accounts.ErrInvalidSession) {
		t.Errorf("got %v, want ErrInvalidSession", err)
	}
}

func TestChangePasswordChangesBothRowsAndEndsOtherSessions(t *testing.T) {
	h := newHouse(t)
	s := h.signUp(t, "ada@example.org")
	other := must(h.SignIn(t.Context(), accounts.SignIn{Email: "ada@example.org", Password: password}))(t)
	id := h.identity(t, s)

	err := h.ChangePassword(t.Context(), id, "wrong password", "a new password")
	if !errors.Is(err, accounts.ErrBadCredentials) {
		t.Fatalf("got %v, want ErrBadCredentials", err)
	}
	var input *accounts.InputError
	if err := h.ChangePassword(t.Context(), id, password, "short"); !errors.As(err, &input) {
		t.Fatalf("got %v, want *InputError", err)
	}
	if err := h.ChangePassword(t.Context(), id, password, "a new password"); err != nil {
		t.Fatal(err)
	}

	admin := must(h.Registry.Admin(t.Context(), s.Profile.ID))(t)
	if h.tenantHash(t, s) != admin.PasswordHash {
		t.Error("the two admin rows differ")
	}
	_, err = h.SignIn(t.Context(), accounts.SignIn{Email: "ada@example.org", Password: password})
	if !errors.Is(err, accounts.ErrBadCredentials) {
		t.Errorf("the old password: %v, want ErrBadCredentials", err)
	}
	_ = must(h.SignIn(t.Context(), accounts.SignIn{Email: "ada@example.org", Password: "a new password"}))(t)
	if _, err := h.Refresh(t.Context(), other.RefreshToken.Reveal()); !errors.Is(err, accounts.ErrInvalidSession) {
		t.Errorf("another session survived: %v", err)
	}
	_ = must(h.Refresh(t.Context(), s.RefreshToken.Reveal()))(t)
}

func TestNewReportsEveryMissingField(t *testing.T) {
	_, err := accounts.New(accounts.Config{SessionTTL: -1})
	want := `accounts: Config.Registry: required
accounts: Config.Provisioner: required
accounts: Config.Resolver: required
accounts: Config.Hasher: required
accounts: Config.Issuer: required
accounts: Config.SessionTTL: must not be negative`
	if err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

// A thief with the refresh token of a removed admin must not stay.
func TestRefreshEndsTheSessionOfARemovedAdmin(t *testing.T) {
	h := newHouse(t)
	s := h.signUp(t, "ada@example.org")
	h.inTenant(t, s, func(ctx context.Context, db *pgxpool.Pool) error {
		_, err := db.Exec(ctx, `DELETE FROM admins`)
		return err
	})
	for range 2 {
		_, err := h.Refresh(t.Context(), s.RefreshToken.Reveal())
		if !errors.Is(err, accounts.ErrInvalidSession) {
			t.Errorf("got %v, want ErrInvalidSession", err)
		}
	}
}

func TestCheckPasswordTellsRightFromWrong(t *testing.T) {
	h := newHouse(t)
	id := h.identity(t, h.signUp(t, "ada@example.org"))
	if err := h.CheckPassword(t.Context(), id, password); err != nil {
		t.Errorf("the right password: %v", err)
	}
	if err := h.CheckPassword(t.Context(), id, "wrong password"); !errors.Is(err, accounts.ErrBadCredentials) {
		t.Errorf("a wrong one: %v, want ErrBadCredentials", err)
	}
}
