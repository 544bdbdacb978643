package middleware_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/pgtenancy/pgtenancy/middleware"
)

func TestPathValueIsTheTenant(t *testing.T) {
	t.Parallel()
	m := newMiddleware(t, middleware.Config{Identify: middleware.FirstOf(middleware.FromPathValue("tenant"))})
	mux := http.NewServeMux()
	mux.Handle("GET /t/{tenant}/members", m.Handler(http.HandlerFunc(served)))
	mux.Handle("GET /members", m.Handler(http.HandlerFunc(served)))
	for _, c := range []struct {
		path, tenant string
		want         int
	}{
		{"/t/acme/members", "acme", http.StatusOK},
		{"/members", "acme", http.StatusOK}, // names none
		{"/t/globex/members", "acme", http.StatusNotFound},
		{"/t/ACME/members", "acme", http.StatusNotFound},
		{"/t/acme%20/members", "acme", http.StatusNotFound},
		{"/t/acme%00/members", "acme", http.StatusNotFound},
		{"/t/%2e%2e/members", "acme", http.StatusNotFound},
		{"/t/acme%2fmembers/members", "acme", http.StatusNotFound},
		{"/t/acme/members", "", http.StatusUnauthorized},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, c.path, nil)
		if c.tenant != "" {
			r.Header.Set("Authorization", "Bearer "+token(t, c.tenant))
		}
		if w := serve(mux, r); w.Code != c.want {
			t.Errorf("%s with a token for %q: %d %s, want %d", c.path, c.tenant, w.Code, w.Body, c.want)
		}
	}
}

// Around the router, not the route: without this, every request would be 404, or go without the comparison with the
// token, and the operator would not learn why.
func TestPathValueThatNoPatternHasIsAFaultAndLoggedOnce(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]middleware.Config{"public": {Public: true}, "token": {}} {
		log := new(journal)
		cfg.Identify, cfg.Logger = middleware.FromPathValue("tenant"), log.logger()
		m := newMiddleware(t, cfg)
		mux := http.NewServeMux()
		mux.Handle("GET /t/{tenant}/members", http.HandlerFunc(served))
		mux.Handle("GET /members", m.Handler(http.HandlerFunc(served)))
		for _, h := range []http.Handler{m.Handler(mux), mux, m.Handler(mux)} {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/members", nil)
			r.Header.Set("Authorization", "Bearer "+token(t, "acme"))
			if w := serve(h, r); w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "tenant") {
				t.Errorf("%s: %d %s", name, w.Code, w.Body)
			}
		}
		text := log.String()
		if n := strings.Count(text, "level=ERROR"); n != 1 || !strings.Contains(text, "wrap the route's handler") ||
			!strings.Contains(text, `\"tenant\"`) || !strings.Contains(text, `pattern \"GET /members\" has no path value`) {
			t.Errorf("%s: logged %d times:\n%s", name, n, text)
		}
	}
}

// An empty wildcard is the client's doing.
func TestEmptyPathValueIsNoFault(t *testing.T) {
	t.Parallel()
	m := newMiddleware(t, middleware.Config{Public: true, Identify: middleware.FromPathValue("tenant")})
	mux := http.NewServeMux()
	mux.Handle("GET /t/{tenant...}", m.Handler(http.HandlerFunc(served)))
	for path, want := range map[string]int{"/t/": http.StatusNotFound, "/t/acme": http.StatusOK} {
		w := serve(mux, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		if w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
	}
	for _, pattern := range []string{"/t/:tenant", "/t/*tenant", "/t/+tenant"} { // of gin, echo and fiber
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/t/", nil)
		r.Pattern = pattern
		if w := serve(m.Handler(http.HandlerFunc(served)), r); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", pattern, w.Code)
		}
	}
}

// Not parallel: the default logger is the process's.
func TestPathValueThatNoPatternHasIsLoggedWithoutALogger(t *testing.T) {
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	defer slog.SetDefault(before)
	m := newMiddleware(t, middleware.Config{Identify: middleware.FromPathValue("tenant")})
	serve(m.Handler(http.HandlerFunc(served)), request(t, "example.com", "acme"))
	if !strings.Contains(log.String(), "level=ERROR") || strings.Contains(log.String(), "request refused") {
		t.Errorf("the default log has:\n%s", log.String())
	}
}
