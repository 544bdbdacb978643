package middleware_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/pgtenancy/pgtenancy/middleware"
)

// cors is what a middleware of that name does, in short.
func cors(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// A preflight has no token and needs no lease. A page of another origin can read why its request was refused.
func TestCORSOutsideAnswersPreflightsAndCoversRefusals(t *testing.T) {
	t.Parallel()
	resolver := newResolver(t, undialled(t), directory{"acme": "acme"})
	m := newMiddleware(t, middleware.Config{Resolver: resolver})
	h := cors(m.Handler(http.HandlerFunc(served)))
	for _, c := range []struct {
		method, tenant string
		want           int
	}{
		{http.MethodOptions, "", http.StatusNoContent},
		{http.MethodGet, "acme", http.StatusOK},
		{http.MethodGet, "", http.StatusUnauthorized},
		{http.MethodGet, "globex", http.StatusNotFound},
	} {
		r := request(t, "acme.example.com", c.tenant)
		r.Method = c.method
		r.Header.Set("Origin", "https://app.example.net")
		r.Header.Set("Access-Control-Request-Method", http.MethodGet)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.want || w.Header().Get("Access-Control-Allow-Origin") != "https://app.example.net" {
			t.Errorf("%s with a token for %q: %d %v, want %d", c.method, c.tenant, w.Code, w.Header(), c.want)
		}
	}
	if n := resolver.Stat().MissCount(); n != 1 {
		t.Errorf("%d tenants were looked up for one request that was served", n)
	}
}
