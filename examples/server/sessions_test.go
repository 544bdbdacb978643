package main

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// sessionList is the API's answer to a request for one's sessions.
type sessionList struct {
	Sessions []struct {
		ID        string
		UserAgent string
		Address   string
		Current   bool
	}
}

func TestSessionsAreSeenAndEndedByWhoKnowsThePassword(t *testing.T) {
	r := start(t, setup{prefix: "sess_"})
	owner := r.register(t, "Sess")
	login := func() session {
		return do[session](t, r.as(""), "POST", "/api/auth/login",
			map[string]string{"email": "sess@example.org", "password": password}, http.StatusOK)
	}
	c, thief := r.as(owner.AccessToken), login()
	list := do[sessionList](t, c, "GET", "/api/me/sessions", nil, http.StatusOK).Sessions
	if len(list) != 2 || list[0].Current || !list[1].Current || list[0].UserAgent == "" || list[0].Address != "" {
		t.Fatalf("%+v", list)
	}
	ended := func(s session, want int) {
		t.Helper()
		do[session](t, r.as(""), "POST", "/api/auth/refresh", map[string]string{"refreshToken": s.RefreshToken}, want)
	}
	wrong, right := map[string]string{"password": "wrong password"}, map[string]string{"password": password}
	do[none](t, c, "DELETE", "/api/me/sessions/"+list[0].ID, wrong, http.StatusUnprocessableEntity)
	do[none](t, c, "DELETE", "/api/me/sessions/nowhere", right, http.StatusNotFound)
	do[none](t, c, "DELETE", "/api/me/sessions/"+list[0].ID, right, http.StatusNoContent)
	ended(thief, http.StatusUnauthorized)
	thief = login()
	do[none](t, c, "DELETE", "/api/me/sessions/others", right, http.StatusNoContent)
	ended(thief, http.StatusUnauthorized)
	thief = login()

	b := r.browser()
	if status, _, _ := b.visit(t, "/signin",
		url.Values{"email": {"sess@example.org"}, "password": {password}}); status != http.StatusSeeOther {
		t.Fatalf("sign-in: status %d", status)
	}
	status, _, page := b.visit(t, "/account", nil)
	buttons := regexp.MustCompile(`name="which" value="([a-z2-7]{26})"`).FindAllStringSubmatch(page, -1)
	if status != http.StatusOK || len(buttons) != 2 || strings.Count(page, "this one") != 1 {
		t.Fatalf("status %d:\n%s", status, page)
	}
	form := url.Values{"which": {buttons[0][1]}, "password": {"wrong password"}}
	if status, _, page := b.visit(t, "/account/sessions",
		form); status != 422 || !strings.Contains(page, "not your password") {
		t.Errorf("wrong password: status %d:\n%s", status, page)
	}
	form.Set("password", password)
	if status, to, _ := b.visit(t, "/account/sessions", form); status != http.StatusSeeOther || to != "/account?done" {
		t.Errorf("one: status %d to %q", status, to)
	}
	ended(thief, http.StatusUnauthorized)
	form.Set("which", "others")
	if status, _, _ := b.visit(t, "/account/sessions", form); status != http.StatusSeeOther {
		t.Errorf("others: status %d", status)
	}
	ended(owner, http.StatusUnauthorized)
	if status, _, page := b.visit(t, "/account?done", nil); status != 200 || strings.Contains(page, "Sign out there<") {
		t.Errorf("status %d:\n%s", status, page)
	}
	form.Set("which", "all")
	if status, _, _ := b.visit(t, "/account/sessions", form); status != http.StatusSeeOther {
		t.Errorf("all: status %d", status)
	}
	if n := one[int](t, r.registry, "SELECT count(*) FROM pgtenancy.sessions"); n != 0 {
		t.Errorf("%d sessions live", n)
	}
}

// TestAbortedRegistrationIsMadeByItsRepetition: it was answered with 503 for a day under its key, and without one with
// an account that there was not.
func TestAbortedRegistrationIsMadeByItsRepetition(t *testing.T) {
	for _, key := range []http.Header{{}, {"Idempotency-Key": {"try-1"}}} {
		begun := make(chan struct{}, 8)
		r := start(t, setup{prefix: "ab_", hooks: hooks{progress: func(_ *http.Request, step string) {
			if step == "access" {
				begun <- struct{}{}
			}
		}}})
		ctx, cancel := context.WithCancel(t.Context())
		first := make(chan struct{})
		go func() {
			defer close(first)
			r.tryRegister(ctx, newSignUp("Ab"), key)
		}()
		<-begun
		cancel()
		status, _ := r.tryRegister(t.Context(), newSignUp("Ab"), key)
		<-first
		// Without a key, the first may have come to its end before anybody saw that its client had gone.
		if status != http.StatusCreated && (len(key) > 0 || status != http.StatusConflict) {
			t.Errorf("%v: status %d", key, status)
		}
		if n := one[int](t, r.registry, "SELECT count(*) FROM pgtenancy.tenants WHERE state = 'active'"); n != 1 {
			t.Errorf("%v: %d churches", key, n)
		}
	}
}
