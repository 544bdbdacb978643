package catalog_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

func TestSessionsAreListedWithWhatTheCallerGaveUntilTheyEnd(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.active(t, "acme")
	f.active(t, "other")
	client := catalog.Client{Addr: netip.MustParseAddr("2001:db8::1"), UserAgent: "Browser/1.0"}
	first, _, err := f.OpenSession(t.Context(), catalog.SessionRequest{
		TenantID: "acme", AdminID: "admin-acme", TTL: time.Hour, Idle: time.Minute, Client: client,
	})
	must(t, err)
	second, _ := f.open(t, "acme")
	f.open(t, "other")
	f.exec(t, `UPDATE pgtenancy.sessions SET rotated_at = now() - interval '30 seconds' WHERE id = $1`, first.ID)
	sessions, err := f.Sessions(t.Context(), "admin-acme")
	must(t, err)
	if len(sessions) != 2 || sessions[0].ID != second.ID || sessions[1].ID != first.ID {
		t.Fatalf("%v, want the last used first", sessions)
	}
	if s := sessions[1]; s.Client != client || !s.CreatedAt.Equal(first.CreatedAt) ||
		!s.ExpiresAt.Equal(first.ExpiresAt) ||
		s.Idle != time.Minute || !s.LastUsedAt.Before(s.CreatedAt) || s.TenantID != "acme" {
		t.Errorf("%#v, %v", s.Client, s)
	}
	if n := f.count(t, `pgtenancy.sessions WHERE position('Browser'::bytea IN client) > 0`); n != 0 {
		t.Error("the client is not sealed")
	}
	f.exec(t, `UPDATE pgtenancy.sessions SET rotated_at = now() - interval '61 seconds'`)
	if sessions, err = f.Sessions(t.Context(), "admin-acme"); err != nil || len(sessions) != 1 ||
		sessions[0].ID != second.ID {
		t.Errorf("%v, %v: want only the session that is not idle", sessions, err)
	}
}

func TestSessionThatIsNotUsedEnds(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.active(t, "acme")
	open := func() tenancy.Secret {
		_, token, err := f.OpenSession(t.Context(), catalog.SessionRequest{
			TenantID: "acme", AdminID: "admin-acme", TTL: time.Hour, Idle: time.Minute,
		})
		must(t, err)
		return token
	}
	used := open()
	for range 3 { // for longer than a minute in all
		f.exec(t, `UPDATE pgtenancy.sessions SET rotated_at = now() - interval '55 seconds'`)
		used = f.rotate(t, used)
	}
	idle := open()
	f.exec(t, `UPDATE pgtenancy.sessions SET rotated_at = now() - interval '61 seconds'`)
	f.wantInvalid(t, "not used for a minute", idle)
	f.wantInvalid(t, "not used for a minute", used)
}

func TestWrongPasswordsEndTheSessionTheyAreGivenIn(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.active(t, "acme")
	s, token := f.open(t, "acme")
	_, other := f.open(t, "acme")
	for range 2 {
		must(t, f.CountWrongPassword(t.Context(), s.ID, 3))
	}
	token = f.rotate(t, token)
	must(t, f.CheckSession(t.Context(), "admin-acme", s.ID))
	for range 2 {
		if err := f.CountWrongPassword(t.Context(), s.ID, 3); !errors.Is(err, catalog.ErrInvalidSession) {
			t.Errorf("%v, want ErrInvalidSession", err)
		}
	}
	f.wantInvalid(t, "after three wrong passwords", token)
	f.rotate(t, other)
	if err := f.CheckSession(t.Context(), "admin-acme", s.ID); !errors.Is(err, catalog.ErrInvalidSession) {
		t.Errorf("%v, want ErrInvalidSession", err)
	}
}

func TestSessionIsClosedForItsOwnAdminOnly(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.active(t, "acme")
	f.active(t, "other")
	s, token := f.open(t, "acme")
	must(t, f.CloseSessionOf(t.Context(), "admin-other", s.ID))
	if err := f.CheckSession(t.Context(), "admin-other", s.ID); !errors.Is(err, catalog.ErrInvalidSession) {
		t.Errorf("another's session: %v", err)
	}
	token = f.rotate(t, token)
	must(t, f.CloseSessionOf(t.Context(), "admin-acme", s.ID))
	f.wantInvalid(t, "closed", token)
}

func TestChangedPasswordAndTheEndOfOtherSessionsAreOneTransaction(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.active(t, "acme")
	open := func() (catalog.Session, tenancy.Secret) {
		s, token, err := f.OpenSession(t.Context(), catalog.SessionRequest{
			TenantID: "acme", AdminID: "admin-acme", TTL: time.Hour, PasswordHash: "$argon2id$acme",
		})
		must(t, err)
		return s, token
	}
	spared, live := open()
	_, gone := open()
	if err := f.ChangeAdminPassword(t.Context(), "admin-acme", "$another", "$new",
		spared.ID); !errors.Is(err, registry.ErrConflict) {
		t.Errorf("%v, want ErrConflict", err)
	}
	gone = f.rotate(t, gone)
	must(t, f.SetAdminPassword(t.Context(), "admin-acme", "$argon2id$acme", "$rehashed"))
	s, live, err := f.RotateSession(t.Context(), live, grace)
	must(t, err)
	if !s.OpenedWith("$rehashed") || s.OpenedWith("$argon2id$acme") {
		t.Error("a rehash leaves sessions with the hash before")
	}
	must(t, f.ChangeAdminPassword(t.Context(), "admin-acme", "$rehashed", "$new", spared.ID))
	f.wantInvalid(t, "another session", gone)
	if s, _, err = f.RotateSession(t.Context(), live, grace); err != nil || !s.OpenedWith("$new") ||
		s.OpenedWith("$rehashed") {
		t.Errorf("the session that is spared: %v", err)
	}
	if err := f.ChangeAdminPassword(t.Context(), "nobody", "", "", ""); !errors.Is(err, registry.ErrAdminNotFound) {
		t.Errorf("%v, want ErrAdminNotFound", err)
	}
}

func TestActiveTenantsKeyIsKnownForADay(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	c, err := f.Reserve(t.Context(), keyed(t, "acme", "key", "hash"))
	must(t, err)
	must(t, f.Activate(t.Context(), c))
	again := keyed(t, "other", "key", "another hash")
	if _, err := f.Reserve(t.Context(), again); !errors.Is(err, registry.ErrKeyReused) {
		t.Errorf("%v, want ErrKeyReused", err)
	}
	f.exec(t, `UPDATE pgtenancy.tenants SET activated_at = now() - interval '25 hours'`)
	c, err = f.Reserve(t.Context(), again)
	must(t, err)
	if n := f.count(t, `pgtenancy.tenants WHERE idempotency_key = 'key' AND id = 'other'`); n != 1 {
		t.Error("the key is not the new one's")
	}
	f.exec(t, `UPDATE pgtenancy.tenants SET created_at = now() - interval '25 hours'`)
	var replay *catalog.ReplayError
	if _, err := f.Reserve(t.Context(), again); !errors.As(err, &replay) || replay.TenantID != c.Tenant.ID {
		t.Errorf("while it is under way: %v, want a replay", err)
	}
}

func TestAbortedSignUpLeavesItsKeyFreeAndItsEmailBusy(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	busy := func(what string, res catalog.Reservation) {
		t.Helper()
		if _, err := f.Reserve(t.Context(), res); !errors.Is(err, registry.ErrEmailBusy) ||
			!errors.Is(err, registry.ErrEmailTaken) {
			t.Errorf("%s: %v, want ErrEmailBusy", what, err)
		}
	}
	c, err := f.Reserve(t.Context(), keyed(t, "acme", "key", "hash"))
	must(t, err)
	again := keyed(t, "acme2", "key", "hash")
	again.Admin.Email = email(t, "acme@example.com")
	keyless := again
	keyless.IdempotencyKey = ""
	busy("provisioning", keyless)
	must(t, f.Abort(t.Context(), c, "the client has gone"))
	busy("failing", again)
	claims, err := f.ClaimAbandoned(t.Context(), "reconciler", time.Minute, 1)
	must(t, err)
	must(t, f.Forget(t.Context(), claims[0]))
	c, err = f.Reserve(t.Context(), again)
	must(t, err)
	must(t, f.Activate(t.Context(), c))
	keyless.ID = "acme3"
	keyless.Database, keyless.Role, keyless.Admin.ID = "acme3", "acme3", "admin-acme3"
	if _, err := f.Reserve(t.Context(), keyless); !errors.Is(err, registry.ErrEmailTaken) ||
		errors.Is(err, registry.ErrEmailBusy) {
		t.Errorf("active: %v, want ErrEmailTaken", err)
	}
	_, err = f.BeginDelete(t.Context(), "acme2", "owner", time.Minute)
	must(t, err)
	busy("deleting", keyless)
}
