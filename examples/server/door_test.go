package main

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// credentialsAreGoodAtTheirOwnHostOnly takes each credential to the host of another church, where it must fare no
// better than a made-up one, and must stay good at home.
func (m *matrix) credentialsAreGoodAtTheirOwnHostOnly(t *testing.T) {
	a, b := m.parishes[0], m.parishes[1]
	login := func(name string) string { return `{"email":"` + name + `@example.org","password":"` + password + `"}` }
	form := func(name string) string {
		return url.Values{"email": {name + "@example.org"}, "password": {password}}.Encode()
	}
	fresh := m.cookies(t, a)
	for _, test := range []struct{ path, good, madeUp string }{
		{"/api/auth/login", login(a.name), login("nobody")},
		{"/api/auth/refresh", `{"refreshToken":"` + fresh["__Host-refresh"] + `"}`, `{"refreshToken":"made up"}`},
		{"/signin", form(a.name), form("nobody")},
	} {
		want := m.sent(t, ask{method: "POST", path: test.path, host: b.host, body: test.madeUp})
		if !strings.HasPrefix(status(want), "401") {
			t.Errorf("%s with made-up tokens: %s", test.path, want)
		}
		want = strings.ReplaceAll(want, `"nobody@`, `"`+a.name+`@`) // the form shows what was typed
		want = strings.ReplaceAll(want, fmt.Sprint("Content-Length: ", length(want)-len(a.name)+len("nobody")),
			fmt.Sprint("Content-Length: ", length(want)))
		got := m.sent(t, ask{method: "POST", path: test.path, host: b.host, body: test.good})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-made up +good elsewhere):\n%s", test.path, diff)
		}
		if test.path == "/api/auth/refresh" {
			continue // it was good once
		}
		if got := m.sent(t, ask{method: "POST", path: test.path, host: a.host, body: test.good}); status(got) >= "4" {
			t.Errorf("%s at home: %s", test.path, got)
		}
	}

	// A browser at another host: the answer makes it forget, and the session lives on.
	for _, cookies := range []map[string]string{a.cookies, {"__Host-refresh": m.cookies(t, a)["__Host-refresh"]}} {
		for _, path := range []string{"/signout", "/church/members"} {
			got := m.sent(t, ask{method: "POST", path: path, host: b.host, cookies: cookies, body: "firstName=A&lastName=B"})
			if status(got) != "303 See Other" || strings.Contains(got, "-access=e") || strings.Count(got, "Max-Age=0") != 2 {
				t.Errorf("%s at another host: %s", path, got)
			}
		}
		if got := m.sent(t, ask{method: "GET", path: "/church", host: a.host, cookies: cookies}); status(got) != "200 OK" {
			t.Errorf("at home afterwards: %s", got)
		}
	}
}

// length is the length of an answer's body.
func length(answer string) int {
	_, body, _ := strings.Cut(answer, "\r\n\r\n")
	return len(body)
}
