package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
)

// parish is a church in the matrix: who it is, where it is, and one record of each noun.
type parish struct {
	session
	name, host string
	cookies    map[string]string // of another session of the same admin
	ids        map[string]string // by the noun's path
	bodies     map[string]string // by pattern: what would be accepted
}

// matrix is the program with churches that have a host each, and its routes.
type matrix struct {
	*running
	routes   []route
	parishes []parish
	nobody   parish // a token of ours for a church that does not exist
}

func newMatrix(t *testing.T, prefix string, n int) *matrix {
	t.Helper()
	var patterns []string
	m := &matrix{running: start(t, setup{prefix: prefix, domain: "localhost", hooks: hooks{
		mounted: func(pattern string) { patterns = append(patterns, pattern) },
	}})}
	m.routes = routesOf(t, patterns)
	for i := range n {
		m.parishes = append(m.parishes, m.parish(t, fmt.Sprintf("%s%d", strings.TrimSuffix(prefix, "_"), i)))
	}
	k, err := loadKeys(m.keysFile)
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := authn.NewIssuer(authn.IssuerConfig{Key: k.token, Issuer: audience, Audience: audience})
	if err != nil {
		t.Fatal(err)
	}
	m.nobody = m.parishes[0]
	m.nobody.host = "nobody.localhost"
	m.nobody.AccessToken, _, err = issuer.Issue(authn.Identity{
		Subject: "x", Tenant: "nobody", Session: "x",
		Role: "PRIMARY",
	})
	if err != nil {
		t.Fatal(err)
	}
	m.nobody.cookies = map[string]string{"__Host-access": m.nobody.AccessToken, "__Host-refresh": "made up"}
	return m
}

// parish signs a church up and makes a record of each noun.
func (m *matrix) parish(t *testing.T, name string) parish {
	t.Helper()
	p := parish{session: m.register(t, name), name: name, ids: map[string]string{}}
	p.host = p.Church.ID + ".localhost"
	p.cookies = m.cookies(t, p)
	type object = map[string]any
	p.bodies = map[string]string{
		"POST /api/conversations/{id}/messages": `{"body":"Hello"}`,
		"DELETE /api/church":                    `{"password":"` + password + `"}`,
		"DELETE /api/me/sessions/{id}":          `{"password":"` + password + `"}`,
		"POST /account/sessions":                "which=all&password=" + url.QueryEscape(password),
		"POST /api/me/password": `{"currentPassword":"` + password +
			`","newPassword":"another battery staple"}`,
		"POST /church/members":  "firstName=A&lastName=B",
		"POST /church/messages": "subject=A&body=B",
	}
	list := do[sessionList](t, m.as(p.AccessToken), "GET", "/api/me/sessions", nil, http.StatusOK)
	p.ids["/api/me/sessions"] = list.Sessions[0].ID
	for _, noun := range []struct {
		path  string
		input func() object
	}{
		{"members", func() object { return object{"firstName": "Only", "lastName": name} }},
		{"branches", func() object { return object{"name": "North"} }},
		{"messages", func() object { return object{"subject": "Fair", "body": "On Sunday"} }},
		{"conversations", func() object { return object{"memberId": p.ids["/api/members"], "subject": "Hi"} }},
		{"templates", func() object { return object{"name": "Welcome", "body": "Hello"} }},
		{"recurring", func() object {
			return object{"name": "News", "templateId": p.ids["/api/templates"], "nextRunAt": "2027-01-01T08:00:00Z"}
		}},
		{"subscriptions", func() object { return object{"plan": "plus", "currentPeriodEnd": "2027-01-01T00:00:00Z"} }},
	} {
		path, input := "/api/"+noun.path, noun.input()
		made := do[struct{ ID string }](t, m.as(p.AccessToken), "POST", path, input, http.StatusCreated)
		p.ids[path] = made.ID
		body, err := json.Marshal(input)
		if err != nil {
			t.Fatal(err)
		}
		p.bodies["POST "+path], p.bodies["PUT "+path+"/{id}"] = string(body), string(body)
	}
	return p
}

// cookies signs a church's admin in, in a browser of their own.
func (m *matrix) cookies(t *testing.T, p parish) map[string]string {
	t.Helper()
	s := do[session](t, m.as(""), "POST", "/api/auth/login",
		map[string]string{"email": p.name + "@example.org", "password": password}, http.StatusOK)
	return map[string]string{"__Host-access": s.AccessToken, "__Host-refresh": s.RefreshToken}
}

// canary is in the query of each request, and must not be in the log.
const canary = "canary%40example.org"

// knock sends who's credentials to a host, for records with these ids.
func (m *matrix) knock(t *testing.T, rt route, who parish, host string, ids map[string]string) string {
	t.Helper()
	a := ask{method: rt.method, path: rt.fill(t, ids) + "?email=" + canary, host: host, body: who.bodies[rt.pattern]}
	if a.body == "" && !rt.page() && rt.method != http.MethodGet && rt.method != http.MethodHead {
		a.body = "{}"
	}
	if rt.page() {
		a.cookies = who.cookies
	} else {
		a.token = who.AccessToken
	}
	return m.sent(t, a)
}

// refusal is the answer to everyone that is not at home: on all routes of the API one answer, and of the pages one for
// each method, because net/http gives the answer to a GET a body.
func (m *matrix) refusal(t *testing.T, rt route) string {
	t.Helper()
	want := route{"GET /api/members", http.MethodGet, "/api/members"}
	if rt.method == http.MethodHead || rt.page() && !rt.everyones() {
		want = rt
	}
	return m.knock(t, want, m.nobody, m.nobody.host, m.parishes[0].ids)
}

// TestNoRequestCrossesTenants sends everyone's credentials to everyone's host, on every route that the program mounts.
func TestNoRequestCrossesTenants(t *testing.T) {
	t.Parallel()
	n := pgtest.Size(3, 20)
	m := newMatrix(t, "matrix_", n)
	requests, crossed := 0, 0
	defer func() {
		pgtest.Figure(t, "S2", "%d tenants x %d hosts, %d routes: %d requests where they do not belong, %d not refused alike",
			n, n, len(m.routes), requests, crossed)
	}()
	for _, rt := range m.routes {
		if rt.door() {
			continue
		}
		want := m.refusal(t, rt)
		if rt.everyones() {
			want = m.knock(t, rt, m.nobody, m.nobody.host, m.parishes[0].ids)
		} else if code := status(want); code != "404 Not Found" && (code != "303 See Other" || !rt.page()) {
			t.Fatalf("%s %s: an unknown church gets\n%s", rt.method, rt.path, want)
		}
		check := func(who, where, got string) {
			requests++
			if got == want {
				return
			}
			if crossed++; crossed <= 10 {
				t.Errorf("%s %s of %s %s (-want +got):\n%s", rt.method, rt.path, who, where, cmp.Diff(want, got))
			}
		}
		stranger := parish{}
		unknown := m.knock(t, rt, stranger, m.nobody.host, m.parishes[0].ids)
		for i, p := range m.parishes {
			if got := m.knock(t, rt, stranger, p.host, p.ids); got != unknown {
				t.Errorf("%s %s of a stranger (-unknown church +%s):\n%s", rt.method, rt.path, p.name, cmp.Diff(unknown, got))
			}
			check(p.name, "at a church that there is not", m.knock(t, rt, p, m.nobody.host, p.ids))
			check("a church that there is not", "at "+p.name, m.knock(t, rt, m.nobody, p.host, p.ids))
			for j, other := range m.parishes {
				if i != j {
					check(p.name, "at "+other.name, m.knock(t, rt, p, other.host, other.ids))
				}
			}
			if strings.Contains(rt.path, "{id}") && strings.Contains(rt.pattern, " ") {
				other := m.parishes[(i+1)%n]
				check(p.name, "for a record of "+other.name, m.knock(t, rt, p, p.host, other.ids))
			}
		}
	}
	m.untouched(t)
	m.silent(t)
}

// untouched sees that everyone is at home at their own host, where each record is as it was.
func (m *matrix) untouched(t *testing.T) {
	t.Helper()
	for _, p := range m.parishes {
		for _, rt := range m.routes {
			if rt.method != http.MethodGet || rt.everyones() {
				continue
			}
			if got := m.knock(t, rt, p, p.host, p.ids); status(got) != "200 OK" {
				t.Errorf("%s at home: %s", rt.pattern, got)
			}
		}
		list := do[struct{ Items []struct{ LastName string } }](t, m.as(p.AccessToken), "GET", "/api/members", nil, 200)
		if len(list.Items) != 1 || list.Items[0].LastName != p.name {
			t.Errorf("%s has the members %+v", p.name, list)
		}
	}
}

// silent checks that the log has nothing of the requests.
func (m *matrix) silent(t *testing.T) {
	t.Helper()
	log := strings.ToLower(m.logs.String())
	secrets := []string{"canary", "@example.org", "%40", strings.ToLower(password), "bearer", "argon2", "__host"}
	for _, p := range m.parishes {
		for _, secret := range []string{
			p.AccessToken, p.RefreshToken, p.cookies["__Host-access"],
			p.cookies["__Host-refresh"],
		} {
			secrets = append(secrets, strings.ToLower(secret))
		}
	}
	if i := slices.IndexFunc(secrets, func(s string) bool { return strings.Contains(log, s) }); i >= 0 {
		t.Errorf("the log holds %.12q", secrets[i])
	}
}
