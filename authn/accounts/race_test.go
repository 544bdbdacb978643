package accounts_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/crypto/bcrypt"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/authn/accounts"
	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
)

// TestRehashNeverBringsAnOldPasswordBack has sign-ins that replace a bcrypt hash race with a change of the password.
func TestRehashNeverBringsAnOldPasswordBack(t *testing.T) {
	h := newHouse(t, func(c *accounts.Config) { c.MinRefusal, c.Throttle.Off = -1, true })
	s := h.signUp(t, "ada@example.org")
	id := h.identity(t, s)
	rounds, signIns := pgtest.Size(4, 1000), pgtest.Size(16, 64)
	var back, rehashed, refused atomic.Int64
	defer func() {
		pgtest.Figure(t, "S6",
			"%d changes of a password, each against %d sign-ins with the old one that rehash it: it came back %d times "+
				"(%d sign-ins before the change, %d after it)", rounds, signIns, back.Load(), rehashed.Load(), refused.Load())
	}()
	for round := range rounds {
		old, changed := fmt.Sprintf("old password %d", round), fmt.Sprintf("new password %d", round)
		h.plant(t, s, old)
		var all sync.WaitGroup
		for i := range signIns {
			all.Go(func() {
				if i == signIns/4 {
					h.change(t, id, old, changed)
					return
				}
				_, err := h.SignIn(t.Context(), accounts.SignIn{Email: "ada@example.org", Password: old})
				switch {
				case err == nil:
					rehashed.Add(1)
				case errors.Is(err, accounts.ErrBadCredentials), errors.Is(err, authn.ErrBusy):
					refused.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		pgtest.Wait(t, "every sign-in ends", all.Wait)
		admin := must(h.Registry.Admin(t.Context(), s.Profile.ID))(t)
		for where, hash := range map[string]string{
			"the tenant's row":    h.tenantHash(t, s),
			"the registry's copy": admin.PasswordHash,
		} {
			if must(h.Hasher.Verify(t.Context(), old, hash))(t).OK {
				back.Add(1)
				t.Errorf("round %d: the old password is back in %s", round, where)
			}
			if !must(h.Hasher.Verify(t.Context(), changed, hash))(t).OK {
				t.Errorf("round %d: the new password is not in %s", round, where)
			}
		}
	}
}

// late is a Table that holds a write up until it is let go.
type late struct {
	accounts.Table
	at, on chan struct{}
}

func (l late) SetPassword(ctx context.Context, db *pgxpool.Pool, adminID, oldHash, newHash string) error {
	close(l.at)
	<-l.on
	return l.Table.SetPassword(ctx, db, adminID, oldHash, newHash)
}

func TestRehashThatComesAfterAChangeOfThePasswordChangesNothing(t *testing.T) {
	l := late{at: make(chan struct{}), on: make(chan struct{})}
	h := newHouse(t)
	s := h.signUp(t, "ada@example.org")
	h.plant(t, s, password)
	prompt := h.Accounts
	h.configure(t, func(c *accounts.Config) { c.Profiles = l })
	var signIn sync.WaitGroup
	signIn.Go(func() {
		_, err := h.SignIn(t.Context(), accounts.SignIn{Email: "ada@example.org", Password: password})
		if !errors.Is(err, accounts.ErrBadCredentials) { // it is not the password any more
			t.Error(err)
		}
	})
	pgtest.Receive(t, "the row is reached", l.at) // the old password was right, and is about to be written anew
	if err := prompt.ChangePassword(t.Context(), h.identity(t, s), password, "a new password"); err != nil {
		t.Error(err)
	}
	close(l.on)
	pgtest.Wait(t, "the sign-in ends", signIn.Wait)
	admin := must(h.Registry.Admin(t.Context(), s.Profile.ID))(t)
	for _, hash := range []string{h.tenantHash(t, s), admin.PasswordHash} {
		if !must(h.Hasher.Verify(t.Context(), "a new password", hash))(t).OK {
			t.Error("the new password is not the one")
		}
	}
}

// change changes the password, again if a rehash came first.
func (h *house) change(t *testing.T, id *authn.Identity, old, changed string) {
	for {
		err := h.ChangePassword(t.Context(), id, old, changed)
		if err == nil {
			return
		}
		if !errors.Is(err, accounts.ErrPasswordChanged) && !errors.Is(err, authn.ErrBusy) {
			t.Error(err)
			return
		}
	}
}

// plant gives the admin a bcrypt hash in both rows.
func (h *house) plant(t *testing.T, s *accounts.Session, password string) {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	h.inTenant(t, s, func(ctx context.Context, db *pgxpool.Pool) error {
		_, err := db.Exec(ctx, `UPDATE admins SET password_hash = $1`, string(hash))
		return err
	})
	admin := must(h.Registry.Admin(t.Context(), s.Profile.ID))(t)
	if err := catalog.Of(h.Registry).SetAdminPassword(t.Context(), admin.ID, admin.PasswordHash,
		string(hash)); err != nil {
		t.Fatal(err)
	}
}
