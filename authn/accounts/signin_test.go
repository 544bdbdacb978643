package accounts_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/crypto/bcrypt"

	"github.com/pgtenancy/pgtenancy/authn/accounts"
	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

func TestSignInFindsTheTenantByEmailAlone(t *testing.T) {
	h := newHouse(t)
	ada := h.signUp(t, "ada@example.org")
	bob := h.signUp(t, "bob@example.org")
	for email, want := range map[string]tenancy.ID{"Ada@example.org": ada.Tenant.ID, "bob@example.org": bob.Tenant.ID} {
		s := must(h.SignIn(t.Context(), accounts.SignIn{Email: email, Password: password}))(t)
		if s.Tenant.ID != want {
			t.Errorf("%s was signed in to %s, want %s", email, s.Tenant.ID, want)
		}
		if s.Profile.FirstName != "Ada" || s.Profile.PasswordHash != "" {
			t.Error("the profile is not the tenant's, or holds the hash")
		}
	}
}

func TestSignInTellsAStrangerNothing(t *testing.T) {
	h := newHouse(t)
	open := h.signUp(t, "open@example.org")
	closed := h.signUp(t, "closed@example.org")
	if err := catalog.Of(h.Registry).Suspend(t.Context(), closed.Tenant.ID); err != nil {
		t.Fatal(err)
	}
	h.Resolver.Invalidate(closed.Tenant.ID, 0)
	paths := map[string]accounts.SignIn{
		"wrong password":   {Email: "open@example.org", Password: "wrong password"},
		"empty password":   {Email: "open@example.org"},
		"unknown e-mail":   {Email: "nobody@example.org", Password: password},
		"malformed e-mail": {Email: "@", Password: password},
		"suspended tenant": {Email: "closed@example.org", Password: "wrong password"},
		"another tenant's": {Email: "open@example.org", Password: password, Tenant: closed.Tenant.ID},
		"endless password": {Email: "open@example.org", Password: strings.Repeat("x", 1<<20)},
	}
	for name, attempt := range paths {
		before, start := h.Hasher.Runs(), time.Now()
		_, err := h.SignIn(t.Context(), attempt)
		if !errors.Is(err, accounts.ErrBadCredentials) || err.Error() != accounts.ErrBadCredentials.Error() {
			t.Errorf("%s: got %v, want exactly ErrBadCredentials", name, err)
		}
		if runs := h.Hasher.Runs() - before; runs != 1 {
			t.Errorf("%s: %d key derivations, want 1", name, runs)
		}
		if took := time.Since(start); took < 150*time.Millisecond {
			t.Errorf("%s: refused after %v, want 150 ms at least", name, took)
		}
	}
	_ = must(h.SignIn(t.Context(), accounts.SignIn{
		Email: "open@example.org", Password: password, Tenant: open.Tenant.ID,
	}))(t)
}

func TestOnlyWhoKnowsThePasswordLearnsOfASuspension(t *testing.T) {
	h := newHouse(t)
	s := h.signUp(t, "ada@example.org")
	if err := catalog.Of(h.Registry).Suspend(t.Context(), s.Tenant.ID); err != nil {
		t.Fatal(err)
	}
	h.Resolver.Invalidate(s.Tenant.ID, 0)
	_, err := h.SignIn(t.Context(), accounts.SignIn{Email: "ada@example.org", Password: password})
	if !errors.Is(err, tenancy.ErrSuspended) {
		t.Errorf("got %v, want ErrSuspended", err)
	}
	if _, err := h.Refresh(t.Context(), s.RefreshToken.Reveal()); !errors.Is(err, accounts.ErrInvalidSession) {
		t.Errorf("refresh of a suspended tenant's session: got %v, want ErrInvalidSession", err)
	}
}

// The original system kept bcrypt hashes; they must go on working and give way to argon2id.
func TestBcryptHashSignsInAndIsReplaced(t *testing.T) {
	h := newHouse(t)
	s := h.signUp(t, "ada@example.org")
	old, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	h.inTenant(t, s, func(ctx context.Context, db *pgxpool.Pool) error {
		_, err := db.Exec(ctx, `UPDATE admins SET password_hash = $1`, string(old))
		return err
	})
	admin := must(h.Registry.Admin(t.Context(), s.Profile.ID))(t)
	if err := catalog.Of(h.Registry).SetAdminPassword(t.Context(), admin.ID, admin.PasswordHash, string(old)); err != nil {
		t.Fatal(err)
	}

	_ = must(h.SignIn(t.Context(), accounts.SignIn{Email: "ada@example.org", Password: password}))(t)
	hash := h.tenantHash(t, s)
	if !strings.HasPrefix(hash, "$argon2id$") {
		t.Errorf("the hash is still %.4s…", hash)
	}
	if admin = must(h.Registry.Admin(t.Context(), s.Profile.ID))(t); admin.PasswordHash != hash {
		t.Error("the registry's copy was not replaced")
	}
	_ = must(h.SignIn(t.Context(), accounts.SignIn{Email: "ada@example.org", Password: password}))(t)
}
