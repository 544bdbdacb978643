package main

import (
	"net/http"
	"net/http/httputil"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// route is one of the program's routes, as it was mounted.
type route struct{ pattern, method, path string }

// routesOf reads patterns. A pattern for every method stands for the methods that no other pattern of its path takes.
func routesOf(t *testing.T, patterns []string) []route {
	t.Helper()
	if len(patterns) < 40 || !slices.Contains(patterns, "GET /api/members") || !slices.Contains(patterns, "GET /church") {
		t.Fatalf("the program tells of %d routes only: %q", len(patterns), patterns)
	}
	var all []route
	for _, pattern := range patterns {
		method, path, ok := strings.Cut(pattern, " ")
		if !ok {
			method, path = http.MethodPatch, pattern
		}
		all = append(all, route{pattern, method, strings.TrimSuffix(path, "{$}")})
		if method == http.MethodGet {
			all = append(all, route{pattern, http.MethodHead, strings.TrimSuffix(path, "{$}")})
		}
	}
	return all
}

// everyone's are the routes without authentication. A route that is not here must refuse clients that are not at home.
func (rt route) everyones() bool {
	return !strings.Contains(rt.pattern, " ") || slices.Contains([]string{
		"GET /{$}", "GET /signup", "POST /signup", "GET /signin", "GET /static/{file}", "GET /healthz", "GET /readyz",
		"GET /.well-known/jwks.json",
	}, rt.pattern)
}

// door are the routes that take a credential: credentialsAreGoodAtTheirOwnHostOnly knocks there.
func (rt route) door() bool {
	return slices.Contains([]string{
		"POST /api/auth/login", "POST /api/auth/refresh", "POST /signin", "POST /signout",
	}, rt.pattern)
}

// page reports whether the route is for browsers.
func (rt route) page() bool { return !strings.HasPrefix(rt.path, "/api/") }

// fill puts ids into the route's path.
func (rt route) fill(t *testing.T, ids map[string]string) string {
	t.Helper()
	noun, rest, ok := strings.Cut(rt.path, "/{id}")
	if ok {
		if ids[noun] == "" {
			t.Fatalf("%s: the test makes no record for it", rt.pattern)
		}
		return noun + "/" + ids[noun] + rest
	}
	path := strings.Replace(rt.path, "{file}", "style.css", 1)
	if strings.Contains(path, "{") {
		t.Fatalf("%s: the test does not know what to put there", rt.pattern)
	}
	return path
}

// ask sends a request to the program under a host of one's choice.
type ask struct {
	method, path, host, token string
	body                      string
	cookies                   map[string]string
	header                    http.Header
}

// sent returns the whole answer, but for what differs between any two: its date and a form's key.
func (r *running) sent(t *testing.T, a ask) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), a.method, r.url+a.path, strings.NewReader(a.body))
	if err != nil {
		t.Fatal(err)
	}
	if a.host != "" {
		req.Host = a.host
	}
	for name, values := range a.header {
		req.Header[name] = values
	}
	if a.token != "" {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	for name, value := range a.cookies {
		req.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	if a.body != "" && a.body[0] != '{' {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := httpClient.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", a.method, a.path, err)
	}
	defer res.Body.Close()
	all, err := httputil.DumpResponse(res, true)
	if err != nil {
		t.Fatalf("%s %s: %v", a.method, a.path, err)
	}
	return differing.ReplaceAllString(string(all), "$1*")
}

var differing = regexp.MustCompile(`(Date: |X-Request-Id: |name="key" value=")[^"\r]*`)

// status is an answer's status line.
func status(answer string) string {
	line, _, _ := strings.Cut(answer, "\r\n")
	return strings.TrimPrefix(line, "HTTP/1.1 ")
}
