package middleware_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/pgtenancy/pgtenancy/middleware"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// An attacker trickles bodies: no lease is held while one is read, so that the tenants beside are served.
func TestAttackerWhoSendsABodySlowlyHoldsNoLease(t *testing.T) {
	t.Parallel()
	resolver := newResolver(t, undialled(t), directory{"acme": "acme"})
	m := newMiddleware(t, middleware.Config{Resolver: resolver, BodyFirst: 1 << 10})
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, ok := tenancy.FromContext(r.Context()); !ok || resolver.Stat().Leases() != 1 {
			t.Errorf("lease %t, %d in all", ok, resolver.Stat().Leases())
		}
		_, _ = io.Copy(w, r.Body)
	})
	for name, h := range map[string]http.Handler{
		"Handler": m.Handler(echo), "three steps": m.Identify(m.Authenticate(m.Tenant(echo))),
	} {
		body, client := io.Pipe()
		r := request(t, "acme.example.com", "acme")
		r.Method, r.Body, r.ContentLength = http.MethodPost, body, -1
		w := httptest.NewRecorder()
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			h.ServeHTTP(w, r)
		}()
		for range 3 {
			if _, err := client.Write([]byte("slow ")); err != nil { // it is being read
				t.Fatal(err)
			}
			if n := resolver.Stat().Leases(); n != 0 {
				t.Errorf("%s: %d leases while the body is sent", name, n)
			}
		}
		_ = client.Close()
		<-answered
		if w.Code != http.StatusOK || w.Body.String() != "slow slow slow " || resolver.Stat().Leases() != 0 {
			t.Errorf("%s: %d %q", name, w.Code, w.Body)
		}
	}
}

func TestBodiesThatAreTooLargeOrBrokenNeedNoLease(t *testing.T) {
	t.Parallel()
	resolver := newResolver(t, undialled(t), directory{"acme": "acme"})
	m := newMiddleware(t, middleware.Config{Resolver: resolver, BodyFirst: 10})
	h := m.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the handler ran") }))
	for _, c := range []struct {
		body   io.Reader
		length int64
		want   int
	}{
		{strings.NewReader(strings.Repeat("x", 11)), 11, http.StatusRequestEntityTooLarge},
		{strings.NewReader(strings.Repeat("x", 11)), -1, http.StatusRequestEntityTooLarge},
		{io.MultiReader(strings.NewReader("x"), broken{}), -1, http.StatusBadRequest},
	} {
		r := request(t, "acme.example.com", "acme")
		r.Method, r.Body, r.ContentLength = http.MethodPost, io.NopCloser(c.body), c.length
		if w := serve(h, r); w.Code != c.want {
			t.Errorf("%+v: %d %s", c, w.Code, w.Body)
		}
	}
	if n := resolver.Stat().OpenCount(); n != 0 {
		t.Errorf("%d pools were opened", n)
	}
	if _, err := middleware.New(middleware.Config{
		Resolver: resolver, Verifier: newVerifier(t),
		BodyFirst: -1,
	}); err == nil {
		t.Error("a negative BodyFirst is accepted")
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("broken") }
