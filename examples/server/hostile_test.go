package main

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// TestAttackerWithAnAccountGetsNowhere makes the attempts of an attacker with a church of their own and knowledge of
// the program.
func TestAttackerWithAnAccountGetsNowhere(t *testing.T) {
	t.Parallel()
	m := newMatrix(t, "attack_", 2)
	t.Run("pages tell browsers to take care", m.pagesTellBrowsersToTakeCare)
	t.Run("other sites can do nothing", m.otherSitesCanDoNothing)
	t.Run("odd paths lead nowhere else", m.oddPathsLeadNowhereElse)
	t.Run("bodies that hurt parsers are refused", m.bodiesThatHurtParsersAreRefused)
	t.Run("foreign references are unknown", m.foreignReferencesAreUnknown)
	t.Run("credentials are good at their own host only", m.credentialsAreGoodAtTheirOwnHostOnly)
	t.Run("signing in ends the session that the browser had", m.signingInEndsTheSessionThatTheBrowserHad)
	m.silent(t)
}

// inline is what a page could run or be styled by without a file of its own.
var inline = regexp.MustCompile(`(?i)<script|<style|\son[a-z]+=|\sstyle=|javascript:|<iframe|<base`)

// pagesTellBrowsersToTakeCare looks at every page and every refusal of a page.
func (m *matrix) pagesTellBrowsersToTakeCare(t *testing.T) {
	p := m.parishes[0]
	for _, rt := range m.routes {
		if !rt.page() || rt.door() || rt.path == "/healthz" || rt.path == "/readyz" ||
			strings.HasPrefix(rt.path, "/.well-known/") {
			continue
		}
		home := p.host
		if rt.method != http.MethodGet && rt.method != http.MethodHead {
			home = m.parishes[1].host // where it changes nothing
		}
		for _, host := range []string{home, "evil.example"} {
			answer := m.knock(t, rt, p, host, p.ids)
			head, body, _ := strings.Cut(answer, "\r\n\r\n")
			cache := "no-store"
			if strings.HasPrefix(rt.path, "/static/") {
				cache = "public, max-age=300"
			}
			for _, want := range []string{
				"Content-Security-Policy: default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
				"X-Content-Type-Options: nosniff", "Referrer-Policy: same-origin", "Cross-Origin-Opener-Policy: same-origin",
				"Cache-Control: " + cache,
			} {
				if strings.Count(head+"\r\n", "\r\n"+want+"\r\n") != 1 {
					t.Errorf("%s %s at %s does not say %q once:\n%s", rt.method, rt.path, host, want, head)
				}
			}
			if found := inline.FindString(body); found != "" && strings.Contains(head, "text/html") {
				t.Errorf("%s %s has %q", rt.method, rt.path, found)
			}
		}
	}
	if got := m.sent(t, ask{method: "GET", path: "/static/", host: p.host}); status(got) != "404 Not Found" {
		t.Errorf("the files are listed:\n%s", got)
	}
	got := m.sent(t, ask{method: "GET", path: "/api/members", host: p.host, token: p.AccessToken})
	for _, want := range []string{
		"Content-Type: application/json", "Cache-Control: no-store",
		"X-Content-Type-Options: nosniff",
	} {
		if !strings.Contains(got, "\r\n"+want+"\r\n") {
			t.Errorf("the API does not say %q:\n%s", want, got)
		}
	}
}

// otherSitesCanDoNothing sends what a hostile page can have a visitor's browser send, to every route that changes
// anything, with the visitor's cookies.
func (m *matrix) otherSitesCanDoNothing(t *testing.T) {
	p := m.parishes[0]
	tried := 0
	for _, rt := range m.routes {
		if rt.method == http.MethodGet || rt.method == http.MethodHead {
			continue
		}
		body := p.bodies[rt.pattern]
		for _, header := range []http.Header{
			{"Sec-Fetch-Site": {"cross-site"}},
			{"Sec-Fetch-Site": {"same-site"}}, // another church's host
			{"Origin": {"https://evil.example"}},
			{"Origin": {"null"}},
			{"Origin": {"http://" + p.host + ".evil.example"}},
		} {
			got := m.sent(t, ask{
				method: rt.method, path: rt.fill(t,
					p.ids), host: p.host, cookies: p.cookies, body: body, header: header, token: p.AccessToken,
			})
			tried++
			if status(got) != "403 Forbidden" || strings.Contains(got, "Set-Cookie") {
				t.Errorf("%s %s with %v:\n%s", rt.method, rt.path, header, got)
			}
		}
		if rt.page() || rt.everyones() || rt.door() || strings.HasSuffix(rt.path, "/register") {
			continue
		}
		for name, header := range map[string]http.Header{
			"a cookie": nil, "a token in the query": nil, "a token of another scheme": {"Authorization": {"Basic " +
				p.AccessToken}},
			"two tokens": {"Authorization": {"Bearer " + p.AccessToken, "Bearer x"}},
		} {
			got := m.sent(t, ask{
				method: rt.method, path: rt.fill(t, p.ids) + "?access_token=" + p.AccessToken, host: p.host, cookies: p.cookies,
				body: body, header: header,
			})
			if status(got) != "401 Unauthorized" {
				t.Errorf("%s %s with %s:\n%s", rt.method, rt.path, name, got)
			}
		}
	}
	if tried < 100 {
		t.Errorf("only %d requests", tried)
	}
	m.untouched(t)
}

// oddPathsLeadNowhereElse asks for paths that a proxy and the program might read in two ways.
func (m *matrix) oddPathsLeadNowhereElse(t *testing.T) {
	a, b := m.parishes[0], m.parishes[1]
	address := strings.TrimPrefix(m.url, "http://")
	own := "/api/members/" + a.ids["/api/members"]
	foreign := b.ids["/api/members"]
	for _, target := range []string{
		"//evil.example", "//evil.example/%2e%2e", "///evil.example/", "/\\evil.example", "/%5cevil.example",
		"/%2f%2fevil.example",
		"/./", "/%2e%2e/", "/api/../../evil.example", "/..//evil.example", "/signin/..//evil.example/",
		"/static/", "/static/..%2fweb.go", "/static/../web.go", "/static/%2e%2e%2fweb.go", "/static//style.css",
		"/static/style.css/",
		"/static/index.html", "/static/.%00", "/static/..%5cweb.go",
		"//api//members", "/api//members", "/api/./members", "/api/x/../members", "/API/members", "/api/members/",
		"/api/members;a=b",
		"/api%2fmembers", "/api/members%2f" + foreign, "/api/members%20", "/api/members/..%2fme", "/api/members/%2e%2e/me",
		"/api/members/" + foreign, "/api/members/" + foreign + "%00", "/api/members/" + strings.ToUpper(foreign),
		"/api/members/%ff", "/api/members/" + url.PathEscape("😀"), "/api/members/" + url.PathEscape("’ OR 1=1 --"),
		"/api/members/%27%20OR%20%271%27=%271", "/api/members/" + strings.Repeat("a", 5000), own + "/", own + "%2f", own +
			"%00",
		"/church/../church", "/church/", "/church%00", "/CHURCH", "/church;x", "http://evil.example/church", "*", "/?a;b",
		"/%zz",
		"/church?next=//evil.example", "/signin?next=https://evil.example", "/church?added=%0d%0aSet-Cookie:a=b",
	} {
		res := wire(t, address,
			"GET "+target+" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer "+a.AccessToken+
				"\r\nCookie: __Host-access="+a.cookies["__Host-access"]+"\r\n\r\n")
		if res.status == 0 {
			t.Errorf("%s: no answer", target)
		}
		if to := res.header.Get("Location"); to != "" && !regexp.MustCompile(`^(/([^/\\]|$)|\./$)`).MatchString(to) {
			t.Errorf("%s leads to %q", target, to)
		}
		if res.header["Set-Cookie"] != nil && res.status == 200 || res.status >= 500 ||
			strings.Contains(res.body, b.name) || strings.Contains(res.body, "package web") ||
			strings.Contains(res.body, "<pre>") {
			t.Errorf("%s: status %d, cookies %v:\n%.300s", target, res.status, res.header["Set-Cookie"], res.body)
		}
		api := strings.Contains(strings.ToLower(target), "api")
		if api && res.status == 200 {
			t.Errorf("%s has two spellings:\n%s", target, res.body)
		}
	}
}

// signingInEndsTheSessionThatTheBrowserHad: an attacker's cookies must not stay in the browser.
func (m *matrix) signingInEndsTheSessionThatTheBrowserHad(t *testing.T) {
	attacker, victim := m.parishes[0], m.parishes[1]
	form := url.Values{"email": {victim.name + "@example.org"}, "password": {password}}.Encode()
	got := m.sent(t, ask{method: "POST", path: "/signin", cookies: attacker.cookies, body: form})
	if status(got) != "303 See Other" {
		t.Fatal(got)
	}
	for name, value := range attacker.cookies {
		if strings.Contains(got, value) {
			t.Errorf("%s was kept", name)
		}
	}
	status, _, err := m.as("").send(t.Context(), "POST", "/api/auth/refresh",
		map[string]string{"refreshToken": attacker.cookies["__Host-refresh"]})
	if err != nil || status != http.StatusUnauthorized {
		t.Errorf("the session before: status %d, %v", status, err)
	}
}

// foreignReferencesAreUnknown names records of another church in the bodies and queries of one's own requests.
func (m *matrix) foreignReferencesAreUnknown(t *testing.T) {
	a, b := m.parishes[0], m.parishes[1]
	send := func(path, body string) string {
		return m.sent(t, ask{method: "POST", path: path, token: b.AccessToken, body: body})
	}
	for _, test := range []struct{ path, noun, body string }{
		{"/api/members", "/api/branches", `{"firstName":"A","lastName":"B","branchId":"%s"}`},
		{"/api/messages", "/api/branches", `{"subject":"A","body":"B","branchId":"%s"}`},
		{"/api/messages", "/api/templates", `{"subject":"A","body":"B","templateId":"%s"}`},
		{"/api/conversations", "/api/members", `{"subject":"A","memberId":"%s"}`},
		{"/api/recurring", "/api/templates", `{"name":"A","templateId":"%s","nextRunAt":"2027-01-01T08:00:00Z"}`},
	} {
		foreign, madeUp := send(test.path, fmt.Sprintf(test.body, a.ids[test.noun])), send(test.path,
			fmt.Sprintf(test.body, "made-up"))
		if foreign != madeUp || status(foreign) != "422 Unprocessable Entity" {
			t.Errorf("%s with a foreign %s:\n%s\nwith a made-up one:\n%s", test.path, test.noun, foreign, madeUp)
		}
	}
	// A place in another church's list is a place in one's own.
	second := do[struct{ ID string }](t, m.as(a.AccessToken), "POST", "/api/members",
		map[string]string{"firstName": "Second", "lastName": a.name}, 201)
	page := do[struct{ Next string }](t, m.as(a.AccessToken), "GET", "/api/members?limit=1", nil, 200)
	do[none](t, m.as(a.AccessToken), "DELETE", "/api/members/"+second.ID, nil, http.StatusNoContent)
	got := do[struct{ Items []struct{ LastName string } }](t, m.as(b.AccessToken), "GET", "/api/members?cursor="+page.Next,
		nil, 200)
	for _, item := range got.Items {
		if item.LastName != b.name {
			t.Errorf("%s sees %+v", b.name, item)
		}
	}
}

// bodiesThatHurtParsersAreRefused sends bodies that are costly, or that parsers read in two ways.
func (m *matrix) bodiesThatHurtParsersAreRefused(t *testing.T) {
	p := m.parishes[0]
	for _, test := range []struct {
		name, path, body string
		status           int
	}{
		{"deep arrays", "/api/members", strings.Repeat("[", 500_000), 400},
		{"deep objects", "/api/members", strings.Repeat(`{"firstName":`, 50_000), 400},
		{
			"a deep value", "/api/members", `{"firstName":` + strings.Repeat("[", 300_000) + strings.Repeat("]", 300_000) + `}`,
			400,
		},
		{"a second value", "/api/members", `{"firstName":"A","lastName":"B"}null`, 400},
		{"a comment", "/api/members", `{"firstName":"A","lastName":"B"} // admin`, 400},
		{"a byte order mark", "/api/members", "\ufeff{}", 400},
		{"bytes that are no text", "/api/auth/login", `{"email":"x@example.org","password":"` + "\xff\xfe\xfd" + `"}`, 400},
		{"half of a pair", "/api/auth/login", `{"email":"x@example.org","password":"\ud800 and more"}`, 400},
		{"what stands for either", "/api/auth/login", `{"email":"x@example.org","password":"\ufffd\ufffd"}`, 400},
		{"half of a pair in a name", "/api/members", `{"\udc00":"A"}`, 400},
		{"null", "/api/members", `null`, 422},
		{"a huge number", "/api/members", `{"firstName":1e999999999}`, 422},
		{"somebody else's id", "/api/members", `{"id":"x","firstName":"A","lastName":"B"}`, 422},
		{"a role", "/api/auth/register", `{"email":"x@example.org","password":"` + password +
			`","firstName":"A","lastName":"B","churchName":"C","role":"PRIMARY"}`, 422},
		{"a tenant", "/api/auth/login", `{"email":"x@example.org","password":"x","tenant":"` + p.Church.ID + `"}`, 422},
		{"a header in a name", "/api/auth/register", `{"email":"x@example.org","password":"` + password +
			`","firstName":"A\r\nBcc: b","lastName":"B","churchName":"C"}`, 422},
		{"a header in an e-mail", "/api/members", `{"firstName":"A","lastName":"B","email":"a@b.org\r\nBcc: c@d.org"}`, 422},
	} {
		status, contentType, got := m.raw(t, "POST", test.path, test.body, p.AccessToken)
		if status != test.status || got.Status != test.status || contentType != "application/problem+json" {
			t.Errorf("%s: status %d, %s, %+v", test.name, status, contentType, got)
		}
	}
	m.untouched(t)
}
