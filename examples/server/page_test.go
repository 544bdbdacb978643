package main

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// signedIn returns a browser that is signed in to a new church.
func (r *running) signedIn(t *testing.T, name string) (*browser, session) {
	t.Helper()
	s, b := r.register(t, name), r.browser()
	status, _, page := b.visit(t, "/signin", url.Values{"email": {name + "@example.org"}, "password": {password}})
	if status != http.StatusSeeOther {
		t.Fatalf("sign-in: status %d:\n%s", status, page)
	}
	return b, s
}

func TestPagesSayWhatIsWrong(t *testing.T) {
	r := start(t, setup{prefix: "page_"})
	b, _ := r.signedIn(t, "Page")
	for _, test := range []struct {
		path   string
		form   url.Values
		status int
		want   string
	}{
		{"/nowhere", nil, 404, "There is no such page."},
		{"/church?members=made-up", nil, 404, "There is no such page."},
		{"/church?messages=made-up", nil, 404, "There is no such page."},
		{"/church/messages", url.Values{"subject": {""}}, 422, "Subject is required."},
		{"/church/members", url.Values{"firstName": {"<i>"}, "phone": {"call me"}}, 422, "&lt;i&gt;"},
		{"/signin", url.Values{"email": {"page@example.org"}, "password": {"wrong"}}, 401, "Wrong e-mail or password."},
		{"/signin", url.Values{"email": {"no one"}, "password": {"wrong"}}, 401, "Wrong e-mail or password."},
		{
			"/church/members",
			url.Values{"firstName": {strings.Repeat("a", 2<<20)}},
			413,
			"A form must not be larger than 1 MiB.",
		},
		{"/", nil, 200, "Go to my church"},
	} {
		status, _, page := b.visit(t, test.path, test.form)
		if status != test.status || !strings.Contains(page, test.want) {
			t.Errorf("%s %.40v: status %d:\n%.3000s", test.path, test.form, status, page)
		}
	}
}

func TestListsOnThePageGoOn(t *testing.T) {
	r := start(t, setup{prefix: "more_"})
	b, s := r.signedIn(t, "More")
	for i := range 12 {
		do[none](t, r.as(s.AccessToken), "POST", "/api/members",
			map[string]string{"firstName": "M", "lastName": "no" + strconv.Itoa(i)}, 201)
		do[none](t, r.as(s.AccessToken), "POST", "/api/messages",
			map[string]string{"subject": "S" + strconv.Itoa(i), "body": "B"}, 201)
	}
	for _, list := range []string{"members", "messages"} {
		_, _, page := b.visit(t, "/church", nil)
		_, rest, more := strings.Cut(page, `href="/church?`+list+`=`)
		cursor, _, _ := strings.Cut(rest, "#")
		if !more {
			t.Fatalf("no older %s:\n%s", list, page)
		}
		if status, _, older := b.visit(t, "/church?"+list+"="+cursor, nil); status != 200 ||
			strings.Contains(older, `href="/church?`+list+`=`) {
			t.Errorf("older %s: status %d", list, status)
		}
	}
}

// TestSuspendedChurchIsShutOut suspends a church in the registry, as an operator in another process would.
func TestSuspendedChurchIsShutOut(t *testing.T) {
	r := start(t, setup{prefix: "susp_"})
	b, s := r.signedIn(t, "Susp")
	k, err := loadKeys(r.keysFile)
	if err != nil {
		t.Fatal(err)
	}
	other, err := registry.New(registry.Config{Pool: r.registry, Keyring: k.ring})
	if err != nil {
		t.Fatal(err)
	}
	if err := catalog.Of(other).Suspend(t.Context(), tenancy.ID(s.Church.ID)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the API refuses", func() bool {
		status, _, err := r.as(s.AccessToken).send(t.Context(), "GET", "/api/members", nil)
		return err == nil && status == http.StatusForbidden
	})
	if status, _, page := b.visit(t, "/church", nil); status != 403 || !strings.Contains(page, "suspended") {
		t.Errorf("page: status %d:\n%s", status, page)
	}
	if err := catalog.Of(other).Resume(t.Context(), tenancy.ID(s.Church.ID)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the page is back", func() bool {
		status, _, _ := b.visit(t, "/church", nil)
		return status == http.StatusOK
	})
}
