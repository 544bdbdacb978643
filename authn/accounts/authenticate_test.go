package accounts_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/authn/accounts"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// held is a Table whose first Find is held up, after it has read, until it is let go.
type held struct {
	accounts.Table
	finds  *atomic.Int64
	at, on chan struct{}
}

func (h held) Find(ctx context.Context, db *pgxpool.Pool, adminID string) (accounts.Profile, error) {
	p, err := h.Table.Find(ctx, db, adminID)
	if h.finds.Add(1) == 1 {
		close(h.at)
		<-h.on
	}
	return p, err
}

// TestSignInWithThePasswordBeforeIsOverWhenItWasChangedMeanwhile guards an admin who changes a password because
// somebody else knows it: a sign-in that had read the old hash opened its session after the change had ended all that
// were there.
func TestSignInWithThePasswordBeforeIsOverWhenItWasChangedMeanwhile(t *testing.T) {
	h := newHouse(t, func(c *accounts.Config) { c.MinRefusal = -1 })
	s := h.signUp(t, "ada@example.org")
	prompt := h.Accounts
	table := held{finds: new(atomic.Int64), at: make(chan struct{}), on: make(chan struct{})}
	h.configure(t, func(c *accounts.Config) { c.Profiles = table })
	answer := make(chan error)
	go func() {
		_, err := h.SignIn(t.Context(), accounts.SignIn{Email: "ada@example.org", Password: password})
		answer <- err
	}()
	pgtest.Receive(t, "the administrator is read", table.at)
	if err := prompt.ChangePassword(t.Context(), h.identity(t, s), password, "a new password"); err != nil {
		t.Error(err)
	}
	close(table.on)
	if err := pgtest.Receive(t, "the sign-in ends", answer); !errors.Is(err, accounts.ErrBadCredentials) {
		t.Errorf("signed in with the password before: %v, want ErrBadCredentials", err)
	}
	_ = must(h.SignIn(t.Context(), accounts.SignIn{Email: "ada@example.org", Password: "a new password"}))(t)
}

// TestSlowDatabaseKeepsNobodyWaitingButWhoKnowsThePassword guards against telling which e-mails have an account: an
// unknown e-mail was refused at once, and a known one after its tenant's database had answered.
func TestSlowDatabaseKeepsNobodyWaitingButWhoKnowsThePassword(t *testing.T) {
	h := newHouse(t)
	s := h.signUp(t, "ada@example.org")
	right := make(chan error, 1)
	h.inTenant(t, s, func(ctx context.Context, db *pgxpool.Pool) error {
		tx, err := db.Begin(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
		if _, err := tx.Exec(ctx, `LOCK TABLE admins`); err != nil {
			return err
		}
		before := h.Hasher.Runs()
		if _, err := h.SignIn(ctx, wrong("ada@example.org")); !errors.Is(err, accounts.ErrBadCredentials) {
			t.Errorf("wrong password while the database says nothing: %v, want ErrBadCredentials", err)
		}
		if runs := h.Hasher.Runs() - before; runs != 1 {
			t.Errorf("%d key derivations", runs)
		}
		go func() {
			_, err := h.SignIn(t.Context(), accounts.SignIn{Email: "ada@example.org", Password: password})
			right <- err
		}()
		for h.Hasher.Runs() < before+2 { // it was right by the registry's copy
			if err := db.Ping(ctx); err != nil {
				return err
			}
		}
		select {
		case err := <-right:
			t.Errorf("the right password, while the database says nothing: %v", err)
		default:
		}
		return nil
	})
	if err := pgtest.Receive(t, "the right sign-in ends", right); err != nil {
		t.Errorf("the right password: %v", err)
	}
}

// silent is a Table that cannot be read.
type silent struct{ accounts.Table }

func (silent) Find(context.Context, *pgxpool.Pool, string) (accounts.Profile, error) {
	return accounts.Profile{}, errors.New("no answer")
}

// TestRefreshWithoutTheTenantsDatabaseGivesNoRole guards against a role that the tenant's database has taken away: the
// registry's copy of it is from the sign-up.
func TestRefreshWithoutTheTenantsDatabaseGivesNoRole(t *testing.T) {
	h := newHouse(t)
	s := h.signUp(t, "ada@example.org")
	h.configure(t, func(c *accounts.Config) { c.Profiles = silent{} })
	next := must(h.Refresh(t.Context(), s.RefreshToken.Reveal()))(t)
	if id := h.identity(t, next); id.Role != "" || tenancy.ID(id.Tenant) != s.Tenant.ID ||
		next.Profile.Email != "ada@example.org" {
		t.Errorf("%+v, %+v: want no role", id, next.Profile)
	}
}
