package accounts_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgtenancy/pgtenancy/authn/accounts"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/registry"
)

// TestEveryChangeOfPeopleAndSessionsIsAnEvent goes through a person's life, and reads it from the events.
func TestEveryChangeOfPeopleAndSessionsIsAnEvent(t *testing.T) {
	t.Parallel()
	var o outbox
	h := newHouse(t, mailing(&o))
	ada := h.signUp(t, "ada@example.org")
	boss := accounts.ByAdmin(h.identity(t, ada))
	start := must(h.Registry.Events(t.Context(), registry.EventFilter{Limit: 1}))(t)[0].Seq

	h.invite(t, boss, "eve@example.org", member)
	revoked := must(h.Invitations(t.Context(), boss))(t)[0]
	if err := h.RevokeInvitation(t.Context(), boss, revoked.ID); err != nil {
		t.Fatal(err)
	}
	i := h.invite(t, boss, "mary@example.org", member)
	in := acceptance(i)
	in.Addr, in.UserAgent = netip.MustParseAddr("192.0.2.7"), "Planted/1.0"
	mary := must(h.Accept(t.Context(), in))(t)
	if err := h.ChangePassword(t.Context(), h.identity(t, mary), password, otherPassword); err != nil {
		t.Fatal(err)
	}
	if err := h.SignOut(t.Context(), h.identity(t, mary)); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		h.SetRole(t.Context(), boss, mary.Profile.ID, "EDITOR"),
		h.RequestPasswordReset(t.Context(), "mary@example.org", netip.Addr{}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := h.ResetPassword(t.Context(), h.mailed(t, &o, accounts.MailReset, "mary@example.org"), password); err != nil {
		t.Fatal(err)
	}
	if err := h.Remove(t.Context(), accounts.ByOperator(ada.Tenant.ID, "jane"), mary.Profile.ID); err != nil {
		t.Fatal(err)
	}

	events := must(h.Registry.Events(t.Context(), registry.EventFilter{TenantID: ada.Tenant.ID}))(t)
	events = slices.DeleteFunc(events, func(e registry.Event) bool { return e.Seq <= start })
	slices.Reverse(events)
	var got []string
	for _, e := range events {
		who := map[string]string{ada.Profile.ID: "ada", mary.Profile.ID: "mary"}
		actor := e.Actor
		if who[actor] != "" {
			actor = who[actor]
		}
		got = append(got, strings.TrimSpace(fmt.Sprintf("%s by %s of %s %s", e.Kind, actor, who[e.AdminID], e.Detail)))
	}
	want := []string{
		"admin.invited by ada of", "admin.invitation_revoked by ada of", "admin.invited by ada of",
		"admin.added by mary of mary MEMBER", "session.opened by mary of mary",
		"admin.password_changed by mary of mary", "sessions.closed by mary of mary one",
		"admin.role_changed by ada of mary EDITOR", "admin.password_reset by mary of mary",
		"admin.removed by jane of mary",
	}
	if !slices.Equal(got, want) {
		t.Errorf("events:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	opened := must(h.Registry.Events(t.Context(), registry.EventFilter{
		Kind: registry.EventSessionOpened, AdminID: mary.Profile.ID, Since: time.Now().Add(-time.Hour),
	}))(t)
	if len(opened) != 1 || opened[0].Addr != in.Addr || opened[0].UserAgent != "Planted/1.0" || opened[0].Object == "" {
		t.Errorf("opened: %v", opened)
	}
	for _, secret := range []string{"192.0.2.7", "Planted", "mary@example.org", i.Token.Reveal(), password} {
		if strings.Contains(string(pgtest.Dump(t, h.Catalog)), secret) {
			t.Errorf("a dump holds %q", secret)
		}
	}
}

func TestEventsAreKeptWithinTheirBounds(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ada := h.signUp(t, "ada@example.org")
	for range 4 {
		must(h.SignIn(t.Context(), accounts.SignIn{Email: "ada@example.org", Password: password}))(t)
	}
	trim := func(c registry.Config) int {
		c.Pool, c.Keyring = h.Catalog, newKeyring(t)
		reg := must(registry.New(c))(t)
		if err := reg.TrimEvents(t.Context()); err != nil {
			t.Fatal(err)
		}
		return len(must(reg.Events(t.Context(), registry.EventFilter{AdminID: ada.Profile.ID}))(t))
	}
	if n := trim(registry.Config{}); n != 5 {
		t.Errorf("%d events of five sessions", n)
	}
	if n := trim(registry.Config{EventCount: 3}); n != 3 {
		t.Errorf("%d events left of three", n)
	}
	newest := must(h.Registry.Events(t.Context(), registry.EventFilter{Limit: 1}))(t)
	page := must(h.Registry.Events(t.Context(), registry.EventFilter{Before: newest[0].Seq}))(t)
	if len(page) != 2 || page[0].Seq >= newest[0].Seq {
		t.Errorf("the page after %d: %v", newest[0].Seq, page)
	}
	if n := trim(registry.Config{EventAge: time.Microsecond}); n != 0 {
		t.Errorf("%d events that are too old", n)
	}
}
