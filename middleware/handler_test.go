package middleware_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/middleware"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// whatIsKnown answers with all that the steps have put into the context.
func whatIsKnown(w http.ResponseWriter, r *http.Request) {
	address, addressed := middleware.Addressed(r.Context())
	if addressed {
		w.Header().Set("Addressed", address.String())
	}
	if identity, ok := authn.FromContext(r.Context()); ok {
		w.Header().Set("Identity", identity.Tenant)
	}
	if _, ok := tenancy.FromContext(r.Context()); ok {
		w.Header().Set("Leased", "yes")
	}
}

func TestHandlerAnswersAsItsThreeStepsDo(t *testing.T) {
	t.Parallel()
	known := func(w http.ResponseWriter, r *http.Request, err error) {
		whatIsKnown(w, r) // what an ErrorHandler can see
		middleware.WriteProblem(w, r, err)
	}
	m := newMiddleware(t, middleware.Config{ErrorHandler: known})
	public := newMiddleware(t, middleware.Config{ErrorHandler: known, Public: true})
	next := http.HandlerFunc(whatIsKnown)
	for _, host := range []string{
		"acme.example.com", "globex.example.com", "nobody.example.com", "example.com",
		"evil.org", "[::1]",
	} {
		for _, tenant := range []string{"", "acme", "nobody", "No Tenant"} {
			for name, c := range map[string]struct{ whole, steps http.Handler }{
				"closed": {m.Handler(next), m.Identify(m.Authenticate(m.Tenant(next)))},
				"public": {public.Handler(next), public.Identify(public.Tenant(next))},
			} {
				r := request(t, host, tenant)
				got, want := serve(c.whole, r), serve(c.steps, r)
				if !same(got, want) {
					t.Errorf("%s, host %q, token for %q: %d %v %q, step by step %d %v %q", name, host, tenant,
						got.Code, got.Header(), got.Body, want.Code, want.Header(), want.Body)
				}
			}
		}
	}
}

func same(a, b *httptest.ResponseRecorder) bool {
	if a.Code != b.Code || a.Body.String() != b.Body.String() || len(a.Header()) != len(b.Header()) {
		return false
	}
	for name := range a.Header() {
		if a.Header().Get(name) != b.Header().Get(name) {
			return false
		}
	}
	return true
}

func TestHandlerCopiesTheRequestOnce(t *testing.T) { //nolint:paralleltest // it counts allocations
	m := newMiddleware(t, middleware.Config{})
	nothing := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	r, w := request(t, "acme.example.com", "acme"), httptest.NewRecorder()
	allocs := func(h http.Handler) float64 {
		return testing.AllocsPerRun(200, func() { h.ServeHTTP(w, r) })
	}
	whole, steps := allocs(m.Handler(nothing)), allocs(m.Identify(m.Authenticate(m.Tenant(nothing))))
	if whole != steps-2 {
		t.Errorf("%v allocations, step by step %v: two copies of the request must be spared", whole, steps)
	}
}
