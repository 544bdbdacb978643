package accounts_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/authn/accounts"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

const member = "MEMBER"

// severalTenants lets an e-mail belong to several tenants.
func (h *house) severalTenants(t *testing.T) {
	t.Helper()
	_, err := h.Catalog.Exec(t.Context(), `ALTER TABLE pgtenancy.admin_email_index
		DROP CONSTRAINT admin_email_index_bidx_key,
		ADD CONSTRAINT admin_email_index_bidx_key UNIQUE (bidx, tenant_id)`)
	if err != nil {
		t.Fatal(err)
	}
}

func (h *house) invite(t *testing.T, by accounts.Manager, email, role string) *accounts.Invitation {
	t.Helper()
	return must(h.Invite(t.Context(), by, accounts.Invite{Email: email, Role: role}))(t)
}

// join invites a new person and has them accept.
func (h *house) join(t *testing.T, by accounts.Manager, email, role string) *accounts.Session {
	t.Helper()
	i := h.invite(t, by, email, role)
	return must(h.Accept(t.Context(), acceptance(i)))(t)
}

func acceptance(i *accounts.Invitation) accounts.Acceptance {
	return accounts.Acceptance{Token: i.Token.Reveal(), Password: password, FirstName: "Mary", LastName: "Shelley"}
}

// rows returns the role of an admin in the registry and in the tenant's database, empty where there is no such row.
func (h *house) rows(t *testing.T, s *accounts.Session, adminID string) (reg, own string) {
	t.Helper()
	admin, err := h.Registry.Admin(t.Context(), adminID)
	if err != nil && !errors.Is(err, registry.ErrAdminNotFound) {
		t.Fatal(err)
	}
	h.inTenant(t, s, func(ctx context.Context, db *pgxpool.Pool) error {
		p, err := accounts.Table{}.Find(ctx, db, adminID)
		if errors.Is(err, accounts.ErrProfileNotFound) {
			err = nil
		}
		own = p.Role
		return err
	})
	return admin.Role, own
}

func TestInvitedPersonIsAnAdminInBothRowsUntilRemoved(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ada := h.signUp(t, "ada@example.org")
	boss := accounts.ByAdmin(h.identity(t, ada))
	i := h.invite(t, boss, "mary@example.org", member)
	seen := must(h.LookAtInvitation(t.Context(), i.Token.Reveal()))(t)
	if seen.Email.Reveal() != "mary@example.org" || seen.Role != member || seen.Organization != "St Mary" || seen.Known {
		t.Errorf("the page would show %v", seen)
	}
	mary := must(h.Accept(t.Context(), acceptance(i)))(t)
	if reg, own := h.rows(t, ada, mary.Profile.ID); reg != member || own != member {
		t.Errorf("roles %q and %q", reg, own)
	}
	if _, err := h.Accept(t.Context(), acceptance(i)); !errors.Is(err, accounts.ErrInvalidToken) {
		t.Errorf("the invitation was good twice: %v", err)
	}
	if _, err := h.Invite(t.Context(), boss, accounts.Invite{Email: "mary@example.org", Role: member}); !errors.Is(err,
		registry.ErrEmailTaken) {
		t.Errorf("invited again: %v", err)
	}
	if got := must(h.Admins(t.Context(), boss))(t); len(got) != 2 || got[1].FirstName != "Mary" ||
		got[1].PasswordHash != "" {
		t.Errorf("admins %v", got)
	}

	if err := h.SetRole(t.Context(), boss, mary.Profile.ID, "EDITOR"); err != nil {
		t.Fatal(err)
	}
	if reg, own := h.rows(t, ada, mary.Profile.ID); reg != "EDITOR" || own != "EDITOR" {
		t.Errorf("roles %q and %q", reg, own)
	}
	if _, err := h.Refresh(t.Context(), mary.RefreshToken.Reveal()); !errors.Is(err, accounts.ErrInvalidSession) {
		t.Errorf("a session outlived the role: %v", err)
	}
	mary = must(h.SignIn(t.Context(), accounts.SignIn{Email: "mary@example.org", Password: password}))(t)
	if mary.Profile.Role != "EDITOR" {
		t.Errorf("signed in as %q", mary.Profile.Role)
	}

	if err := h.Remove(t.Context(), boss, mary.Profile.ID); err != nil {
		t.Fatal(err)
	}
	if reg, own := h.rows(t, ada, mary.Profile.ID); reg != "" || own != "" {
		t.Errorf("roles %q and %q are left", reg, own)
	}
	if _, err := h.Refresh(t.Context(), mary.RefreshToken.Reveal()); !errors.Is(err, accounts.ErrInvalidSession) {
		t.Errorf("a session outlived its admin: %v", err)
	}
	h.join(t, boss, "mary@example.org", member) // the e-mail is free again
}

func TestInvitationEndsWhenRevokedExpiredOrItsTenantIsNotActive(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	boss := accounts.ByOperator(h.signUp(t, "ada@example.org").Tenant.ID, "jane")
	revoked := h.invite(t, boss, "a@example.org", member)
	if got := must(h.Invitations(t.Context(), boss))(t); len(got) != 1 || got[0].ID != revoked.ID ||
		!got[0].Token.IsZero() {
		t.Errorf("invitations %v", got)
	}
	if err := h.RevokeInvitation(t.Context(), boss, revoked.ID); err != nil {
		t.Fatal(err)
	}
	short := must(h.Invite(t.Context(), boss, accounts.Invite{
		Email: "b@example.org", Role: member, TTL: time.Microsecond,
	}))(t)
	for _, i := range []*accounts.Invitation{revoked, short} {
		if _, err := h.Accept(t.Context(), acceptance(i)); !errors.Is(err, accounts.ErrInvalidToken) {
			t.Errorf("%v: %v", i, err)
		}
	}
	waiting := h.invite(t, boss, "c@example.org", member)
	if err := h.cfg.Provisioner.Suspend(t.Context(), waiting.TenantID); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Accept(t.Context(), acceptance(waiting)); !errors.Is(err, tenancy.ErrSuspended) {
		t.Errorf("a suspended tenant took an admin: %v", err)
	}
	if err := h.cfg.Provisioner.Resume(t.Context(), waiting.TenantID); err != nil {
		t.Fatal(err)
	}
	h.Resolver.Invalidate(waiting.TenantID, 0)
	must(h.Accept(t.Context(), acceptance(waiting)))(t)
}

func TestLastPrimaryStaysAndOthersMayNotManage(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ada := h.signUp(t, "ada@example.org")
	boss := accounts.ByAdmin(h.identity(t, ada))
	mary := h.join(t, boss, "mary@example.org", member)
	for _, err := range []error{
		h.Remove(t.Context(), boss, ada.Profile.ID),
		h.SetRole(t.Context(), boss, ada.Profile.ID, member),
	} {
		if !errors.Is(err, accounts.ErrLastPrimary) {
			t.Errorf("the last primary admin: %v", err)
		}
	}
	other := h.signUp(t, "eve@example.org")
	stranger := accounts.ByAdmin(h.identity(t, other))
	plain := accounts.ByAdmin(h.identity(t, mary))
	for _, err := range []error{
		h.Remove(t.Context(), plain, ada.Profile.ID),
		h.SetRole(t.Context(), plain, mary.Profile.ID, accounts.RolePrimary),
		h.Remove(t.Context(), accounts.Manager{}, mary.Profile.ID),
	} {
		if !errors.Is(err, accounts.ErrForbidden) {
			t.Errorf("managed without the right to: %v", err)
		}
	}
	if err := h.Remove(t.Context(), stranger, mary.Profile.ID); !errors.Is(err, registry.ErrAdminNotFound) {
		t.Errorf("an admin of another tenant was removed: %v", err)
	}
	if err := h.SetRole(t.Context(), boss, mary.Profile.ID, accounts.RolePrimary); err != nil {
		t.Fatal(err)
	}
	if err := h.Remove(t.Context(), boss, ada.Profile.ID); err != nil {
		t.Errorf("one of two primary admins: %v", err)
	}
}

// TestTwoPrimariesWhoRemoveEachOtherAtOnceLeaveOne has one win.
func TestTwoPrimariesWhoRemoveEachOtherAtOnceLeaveOne(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ada := h.signUp(t, "ada@example.org")
	mary := h.join(t, accounts.ByOperator(ada.Tenant.ID, "jane"), "mary@example.org", accounts.RolePrimary)
	errs := make(chan error, 2)
	for by, whom := range map[*accounts.Session]*accounts.Session{ada: mary, mary: ada} {
		m := accounts.ByAdmin(h.identity(t, by))
		go func() { errs <- h.Remove(t.Context(), m, whom.Profile.ID) }()
	}
	first, second := <-errs, <-errs
	if (first == nil) == (second == nil) {
		t.Errorf("one of them wins: %v, %v", first, second)
	}
	if left := must(h.Registry.Admins(t.Context(), ada.Tenant.ID))(t); len(left) != 1 {
		t.Errorf("%d admins left", len(left))
	}
}

func TestKnownPersonJoinsAnotherTenantWithTheirPassword(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.severalTenants(t)
	ada, eve := h.signUp(t, "ada@example.org"), h.signUp(t, "eve@example.org")
	i := h.invite(t, accounts.ByAdmin(h.identity(t, eve)), "ada@example.org", member)
	if seen := must(h.LookAtInvitation(t.Context(), i.Token.Reveal()))(t); !seen.Known {
		t.Error("the page does not know the person")
	}
	in := accounts.Acceptance{Token: i.Token.Reveal(), Password: "not the right password"}
	if _, err := h.Accept(t.Context(), in); !errors.Is(err, accounts.ErrBadCredentials) {
		t.Fatalf("a wrong password: %v", err)
	}
	runs := h.Hasher.Runs()
	in.Password = password
	joined := must(h.Accept(t.Context(), in))(t)
	if runs = h.Hasher.Runs() - runs; runs != 1 {
		t.Errorf("%d key derivations", runs)
	}
	if joined.Profile.FirstName != "Ada" || h.tenantHash(t, joined) != h.tenantHash(t, ada) {
		t.Error("the names and the hash are those of the tenant before")
	}
}

func TestAdminWhomOthersReferToLeavesARowWithoutAPerson(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ada := h.signUp(t, "ada@example.org")
	boss := accounts.ByAdmin(h.identity(t, ada))
	mary := h.join(t, boss, "mary@example.org", member)
	conn := h.asOwner(t, ada)
	if _, err := conn.Exec(t.Context(), `CREATE TABLE notes (author text NOT NULL REFERENCES admins (id))`); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), `INSERT INTO notes VALUES ($1)`, mary.Profile.ID); err != nil {
		t.Fatal(err)
	}
	if err := h.Remove(t.Context(), boss, mary.Profile.ID); err != nil {
		t.Fatal(err)
	}
	h.inTenant(t, ada, func(ctx context.Context, db *pgxpool.Pool) error {
		p, err := accounts.Table{}.Find(ctx, db, mary.Profile.ID)
		if p.Email != "removed:"+p.ID || p.FirstName+p.LastName+p.Role+p.PasswordHash != "" {
			t.Errorf("left of the person: %+v", p.Email)
		}
		return err
	})
}

func TestAdminWhomTheTenantsDatabaseRefusesIsUndone(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ada := h.signUp(t, "ada@example.org")
	h.inTenant(t, ada, func(ctx context.Context, db *pgxpool.Pool) error { // a row that the registry knows nothing of
		_, err := db.Exec(ctx, `INSERT INTO admins (id, email, first_name, last_name, role, password_hash)
			VALUES ('x', 'mary@example.org', 'M', 'S', 'x', '')`)
		return err
	})
	i := h.invite(t, accounts.ByAdmin(h.identity(t, ada)), "mary@example.org", member)
	if _, err := h.Accept(t.Context(), acceptance(i)); err == nil {
		t.Fatal("no error")
	}
	if left := must(h.Registry.Admins(t.Context(), ada.Tenant.ID))(t); len(left) != 1 {
		t.Errorf("%d admins left", len(left))
	}
}
