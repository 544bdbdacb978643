package accounts_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/authn/accounts"
	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/registry"
)

// replayed signs up under a key, has the admin's row changed, and signs up once more.
func (h *house) replayed(t *testing.T, change func(s *accounts.Session), password string) (*accounts.Session, error) {
	t.Helper()
	f := form("ada@example.org")
	f.IdempotencyKey = "key"
	change(must(h.SignUp(t.Context(), f))(t))
	f.Password = password
	return h.SignUp(t.Context(), f)
}

// rewrite changes the admin's row in the tenant's database, as an operator or an application does.
func (h *house) rewrite(t *testing.T, s *accounts.Session, sql string, args ...any) {
	t.Helper()
	h.inTenant(t, s, func(ctx context.Context, db *pgxpool.Pool) error {
		_, err := db.Exec(ctx, sql, args...)
		return err
	})
}

// A repetition of a sign-up must not be a second way to sign in, which asks only the registry.
func TestAttackerWhoWasRemovedDoesNotComeBackByTheSignUpsKey(t *testing.T) {
	h := newHouse(t)
	_, err := h.replayed(t, func(s *accounts.Session) { h.rewrite(t, s, `DELETE FROM admins`) }, password)
	if !errors.Is(err, registry.ErrKeyReused) {
		t.Errorf("%v, want ErrKeyReused", err)
	}
}

func TestAttackerWhoWasDemotedGetsNoOldRoleByTheSignUpsKey(t *testing.T) {
	h := newHouse(t)
	s, err := h.replayed(t, func(s *accounts.Session) { h.rewrite(t, s, `UPDATE admins SET role = 'READER'`) }, password)
	if err != nil || h.identity(t, s).Role != "READER" || s.Profile.Role != "READER" {
		t.Errorf("%v, %v, want the role of the tenant's row", s, err)
	}
}

func TestAttackerWithThePasswordBeforeAResetGetsNoSessionByTheSignUpsKey(t *testing.T) {
	h := newHouse(t)
	hash := must(h.Hasher.Hash(t.Context(), "a reset password"))(t)
	reset := func(s *accounts.Session) { h.rewrite(t, s, `UPDATE admins SET password_hash = $1`, hash) }
	if _, err := h.replayed(t, reset, password); !errors.Is(err, registry.ErrKeyReused) {
		t.Errorf("%v, want ErrKeyReused", err)
	}
	f := form("ada@example.org")
	f.IdempotencyKey, f.Password = "key", "a reset password"
	_ = must(h.SignUp(t.Context(), f))(t)
}

// The attacker may write to the registry, and knows what the victim typed.
func TestAttackerWhoPlantsAHashAndAKeyInTheRegistryGetsNoSession(t *testing.T) {
	h := newHouse(t)
	hash := must(h.Hasher.Hash(t.Context(), "a planted password"))(t)
	_, err := h.replayed(t, func(*accounts.Session) {
		if _, err := h.Catalog.Exec(t.Context(), `UPDATE pgtenancy.admins SET password_hash = $1`, hash); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Catalog.Exec(t.Context(), `UPDATE pgtenancy.tenants SET idempotency_key = 'key'`); err != nil {
			t.Fatal(err)
		}
	}, "a planted password")
	if !errors.Is(err, registry.ErrKeyReused) {
		t.Errorf("%v, want ErrKeyReused", err)
	}
}

func TestAttackerGuessesNoMorePasswordsByTheSignUpsKey(t *testing.T) {
	h := newHouse(t, hasty)
	f := form("ada@example.org")
	f.IdempotencyKey = "key"
	_ = must(h.SignUp(t.Context(), f))(t)
	f.Password = "wrong password"
	for range 4 {
		if _, err := h.SignUp(t.Context(), f); !errors.Is(err, registry.ErrKeyReused) {
			t.Fatalf("%v, want ErrKeyReused", err)
		}
	}
	if n := h.tries(t, times(5, same("ada@example.org"))...); n != 1 {
		t.Errorf("%d sign-ins after four guesses by the key, want 1", n)
	}
	if _, err := h.SignUp(t.Context(), f); !errors.Is(err, accounts.ErrThrottled) {
		t.Errorf("%v, want ErrThrottled", err)
	}
}

// A password that an operator reset in the tenant's database ends what was opened with the one before.
func TestAttackersSessionEndsWithAResetInTheTenantsDatabase(t *testing.T) {
	h := newHouse(t)
	s := h.signUp(t, "ada@example.org")
	next := must(h.Refresh(t.Context(), s.RefreshToken.Reveal()))(t)
	h.rewrite(t, s, `UPDATE admins SET password_hash = $1`, must(h.Hasher.Hash(t.Context(), "a reset password"))(t))
	for range 2 {
		if _, err := h.Refresh(t.Context(), next.RefreshToken.Reveal()); !errors.Is(err, accounts.ErrInvalidSession) {
			t.Errorf("%v, want ErrInvalidSession", err)
		}
	}
}

// TestAttackerInASessionKeepsNobodyFromAnother guards the owner: a thief's guesses in a stolen session kept them from
// changing the password, for as long as the thief liked.
func TestAttackerInASessionKeepsNobodyFromAnother(t *testing.T) {
	h := newHouse(t, hasty)
	stolen := h.signUp(t, "ada@example.org")
	thief := h.identity(t, stolen)
	for {
		err := h.CheckPassword(t.Context(), thief, "wrong password")
		if errors.Is(err, accounts.ErrThrottled) {
			break
		}
		if !errors.Is(err, accounts.ErrBadCredentials) {
			t.Fatal(err)
		}
	}
	fresh := must(h.SignIn(t.Context(), accounts.SignIn{Email: "ada@example.org", Password: password}))(t)
	if err := h.ChangePassword(t.Context(), h.identity(t, fresh), password, "a new password"); err != nil {
		t.Fatalf("the owner: %v", err)
	}
	if _, err := h.Refresh(t.Context(), stolen.RefreshToken.Reveal()); !errors.Is(err, accounts.ErrInvalidSession) {
		t.Errorf("the thief's session: %v, want ErrInvalidSession", err)
	}
	if err := h.CheckPassword(t.Context(), thief, "a new password"); !errors.Is(err, accounts.ErrInvalidSession) {
		t.Errorf("the thief's access token: %v, want ErrInvalidSession", err)
	}
}

func TestAttackersSessionEndsWithTheTenthWrongPassword(t *testing.T) {
	h := newHouse(t, func(c *accounts.Config) { c.Throttle.Off = true })
	stolen := h.signUp(t, "ada@example.org")
	other := must(h.SignIn(t.Context(), accounts.SignIn{Email: "ada@example.org", Password: password}))(t)
	thief := h.identity(t, stolen)
	for i := 1; i <= 12; i++ {
		want := accounts.ErrBadCredentials
		if i >= 10 {
			want = accounts.ErrInvalidSession
		}
		ctx, cancel := context.WithCancel(t.Context())
		if err := h.CheckPassword(ctx, thief, "wrong password"); !errors.Is(err, want) {
			t.Errorf("attempt %d: %v, want %v", i, err, want)
		}
		cancel()
	}
	if _, err := h.Refresh(t.Context(), stolen.RefreshToken.Reveal()); !errors.Is(err, accounts.ErrInvalidSession) {
		t.Errorf("%v, want ErrInvalidSession", err)
	}
	_ = must(h.Refresh(t.Context(), other.RefreshToken.Reveal()))(t)
}

// broken is a Table whose client goes with the first write.
type broken struct {
	accounts.Table
	gone context.CancelFunc
}

func (b broken) SetPassword(ctx context.Context, db *pgxpool.Pool, adminID, oldHash, newHash string) error {
	b.gone()
	return b.Table.SetPassword(ctx, db, adminID, oldHash, newHash)
}

// TestAttackerIsOutWhenTheClientBreaksOffTheChange guards against half a change: the new password was in force, and the
// thief's session lived.
func TestAttackerIsOutWhenTheClientBreaksOffTheChange(t *testing.T) {
	h := newHouse(t)
	s := h.signUp(t, "ada@example.org")
	stolen := must(h.SignIn(t.Context(), accounts.SignIn{Email: "ada@example.org", Password: password}))(t)
	ctx, cancel := context.WithCancel(t.Context())
	h.configure(t, func(c *accounts.Config) { c.Profiles = broken{gone: cancel} })
	if err := h.ChangePassword(ctx, h.identity(t, s), password, "a new password"); err != nil {
		t.Errorf("the change: %v", err)
	}
	if _, err := h.Refresh(t.Context(), stolen.RefreshToken.Reveal()); !errors.Is(err, accounts.ErrInvalidSession) {
		t.Errorf("the thief's session: %v, want ErrInvalidSession", err)
	}
	_ = must(h.Refresh(t.Context(), s.RefreshToken.Reveal()))(t)
	_ = must(h.SignIn(t.Context(), accounts.SignIn{Email: "ada@example.org", Password: "a new password"}))(t)
}

// TestAttackerIsOutAlsoWhenTheRegistryFailsInTheMiddleOfTheChange: the tenant's row decides about sessions too.
func TestAttackerIsOutAlsoWhenTheRegistryFailsInTheMiddleOfTheChange(t *testing.T) {
	h := newHouse(t)
	s := h.signUp(t, "ada@example.org")
	stolen := must(h.SignIn(t.Context(), accounts.SignIn{Email: "ada@example.org", Password: password}))(t)
	fail := func() {
		if _, err := h.Catalog.Exec(t.Context(),
			`ALTER TABLE pgtenancy.admins ADD CONSTRAINT closed CHECK (false) NOT VALID`); err != nil {
			t.Error(err)
		}
	}
	h.configure(t, func(c *accounts.Config) { c.Profiles = broken{gone: fail} })
	if err := h.ChangePassword(t.Context(), h.identity(t, s), password,
		"a new password"); !errors.Is(err, accounts.ErrSessionsOpen) {
		t.Errorf("%v, want ErrSessionsOpen", err)
	}
	if _, err := h.Refresh(t.Context(), stolen.RefreshToken.Reveal()); !errors.Is(err, accounts.ErrInvalidSession) {
		t.Errorf("the thief's session: %v, want ErrInvalidSession", err)
	}
	_ = must(h.SignIn(t.Context(), accounts.SignIn{Email: "ada@example.org", Password: "a new password"}))(t)
	if _, err := h.SignIn(t.Context(),
		accounts.SignIn{Email: "ada@example.org", Password: password}); !errors.Is(err, accounts.ErrBadCredentials) {
		t.Errorf("the password before: %v", err)
	}
}

func TestAttackerWithoutAnAddressMakesNoEndlessDatabases(t *testing.T) {
	h := newHouse(t)
	for i := range 101 {
		_, err := catalog.Of(h.Registry).CountAttempt(t.Context(), accounts.SignUpAttempt(h.Accounts))
		if err != nil {
			t.Fatal(i, err)
		}
	}
	_, err := h.SignUp(t.Context(), form("ada@example.org"))
	throttled, ok := errors.AsType[*accounts.ThrottledError](err)
	if !ok || throttled.RetryAfter() > 10*time.Second {
		t.Errorf("%v, want ErrThrottled for ten seconds at most", err)
	}
}
