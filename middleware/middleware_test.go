package middleware_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/middleware"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

func TestNewReportsEveryViolation(t *testing.T) {
	t.Parallel()
	resolver := newResolver(t, undialled(t), directory{})
	sub := subdomain(t, "example.com")
	for _, c := range []struct {
		cfg  middleware.Config
		want []string
	}{
		{middleware.Config{}, []string{"Resolver: required", "Verifier: required"}},
		{middleware.Config{Resolver: resolver}, []string{"Verifier: required"}},
		{middleware.Config{Resolver: resolver, Identify: sub}, []string{"Verifier: required"}},
		{middleware.Config{Resolver: resolver, Public: true}, []string{"Identify: required with Public"}},
		{
			middleware.Config{Verifier: newVerifier(t), Public: true},
			[]string{"Resolver: required", "Verifier: must not be set with Public", "Identify: required with Public"},
		},
		{middleware.Config{Resolver: resolver, Verifier: newVerifier(t)}, nil},
		{middleware.Config{Resolver: resolver, Public: true, Identify: sub}, nil},
	} {
		_, err := middleware.New(c.cfg)
		if (err == nil) != (c.want == nil) {
			t.Errorf("New: %v, want %q", err, c.want)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), "middleware: Config."+want) {
				t.Errorf("error %q does not say %q", err, want)
			}
		}
	}
}

func TestTokensTenantDecidesAndTheHostMustAgree(t *testing.T) {
	t.Parallel()
	withHost := newMiddleware(t, middleware.Config{})
	byClaim, err := middleware.New(middleware.Config{
		Resolver: newResolver(t, undialled(t), directory{"acme": "acme", "globex": "globex"}), Verifier: newVerifier(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		m            *middleware.Middleware
		host, tenant string
		want         int
	}{
		{withHost, "acme.example.com", "acme", http.StatusOK},
		{withHost, "ACME.example.com.:8080", "acme", http.StatusOK},
		{withHost, "example.com", "acme", http.StatusOK}, // names none
		{withHost, "acme.example.com", "globex", http.StatusNotFound},
		{withHost, "globex.example.com", "acme", http.StatusNotFound},
		{withHost, "unknown.example.com", "acme", http.StatusNotFound},
		{withHost, "acme.evil.net", "acme", http.StatusNotFound},
		{withHost, "unknown.example.com", "unknown", http.StatusNotFound},
		{withHost, "acme.example.com", "", http.StatusUnauthorized},
		{withHost, "example.com", "", http.StatusUnauthorized},
		{withHost, "example.com", "Acme", http.StatusUnauthorized}, // no tenant's ID, though signed
		{byClaim, "anything.at.all", "acme", http.StatusOK},
		{byClaim, "", "globex", http.StatusOK},
		{byClaim, "anything.at.all", "unknown", http.StatusNotFound},
		{byClaim, "anything.at.all", "", http.StatusUnauthorized},
	} {
		w := serve(c.m.Handler(http.HandlerFunc(served)), request(t, c.host, c.tenant))
		if w.Code != c.want {
			t.Errorf("host %q, token for %q: %d %s, want %d", c.host, c.tenant, w.Code, w.Body, c.want)
		}
		if body := "tenant " + c.tenant; c.want == http.StatusOK && w.Body.String() != body {
			t.Errorf("host %q, token for %q: served %q", c.host, c.tenant, w.Body)
		}
	}
}

func TestStepsAgreeWhateverIsLeftOut(t *testing.T) {
	t.Parallel()
	m := newMiddleware(t, middleware.Config{})
	last := http.HandlerFunc(served)
	identity := func(next http.Handler) http.Handler { // somebody else's authentication
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r.WithContext(authn.NewContext(r.Context(), &authn.Identity{Tenant: "acme"})))
		})
	}
	for name, c := range map[string]struct {
		h            http.Handler
		host, tenant string
		want         int
	}{
		"without Identify": {m.Authenticate(m.Tenant(last)), "acme.example.com", "acme", http.StatusOK},
		"without Identify, mismatch": {
			m.Authenticate(m.Tenant(last)), "globex.example.com", "acme",
			http.StatusNotFound,
		},
		"without Authenticate": {
			m.Identify(m.Tenant(last)), "acme.example.com", "acme",
			http.StatusUnauthorized,
		},
		"Tenant alone":                     {m.Tenant(last), "acme.example.com", "acme", http.StatusUnauthorized},
		"foreign authentication":           {identity(m.Tenant(last)), "acme.example.com", "", http.StatusOK},
		"foreign authentication, mismatch": {identity(m.Tenant(last)), "globex.example.com", "", http.StatusNotFound},
		"Authenticate alone has no lease": {
			m.Authenticate(last), "acme.example.com", "acme",
			http.StatusInternalServerError,
		},
		"Authenticate alone, mismatch":       {m.Authenticate(last), "globex.example.com", "acme", http.StatusNotFound},
		"Authenticate overrides an identity": {identity(m.Handler(last)), "globex.example.com", "globex", http.StatusOK},
	} {
		if w := serve(c.h, request(t, c.host, c.tenant)); w.Code != c.want {
			t.Errorf("%s: %d %s, want %d", name, w.Code, w.Body, c.want)
		}
	}
}

func TestPublicServesWhatIsAddressed(t *testing.T) {
	t.Parallel()
	m := newMiddleware(t, middleware.Config{Public: true})
	for host, want := range map[string]int{
		"acme.example.com":    http.StatusOK,
		"unknown.example.com": http.StatusNotFound,
		"example.com":         http.StatusNotFound,
		"evil.net":            http.StatusNotFound,
	} {
		if w := serve(m.Handler(http.HandlerFunc(served)), request(t, host, "")); w.Code != want {
			t.Errorf("%s: %d, want %d", host, w.Code, want)
		}
	}
	w := serve(m.Authenticate(http.HandlerFunc(served)), request(t, "acme.example.com", "acme"))
	if w.Code != http.StatusUnauthorized {
		t.Errorf("Authenticate of a public middleware: %d", w.Code)
	}
}

func TestAnotherMiddlewaresAddressIsNotTrusted(t *testing.T) {
	t.Parallel()
	acme := func(*http.Request) (tenancy.ID, error) { return "acme", nil }
	outer := newMiddleware(t, middleware.Config{Identify: acme})
	inner := newMiddleware(t, middleware.Config{})
	h := outer.Identify(inner.Authenticate(inner.Tenant(http.HandlerFunc(served))))
	if w := serve(h, request(t, "globex.example.com", "acme")); w.Code != http.StatusNotFound {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestAddressedIsWhatIdentifyFound(t *testing.T) {
	t.Parallel()
	m := newMiddleware(t, middleware.Config{})
	for host, want := range map[string]tenancy.ID{"acme.example.com": "acme", "example.com": ""} {
		called := false
		serve(m.Identify(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			called = true
			if id, ok := middleware.Addressed(r.Context()); id != want || ok != (want != "") {
				t.Errorf("%s addresses %q, %v", host, id, ok)
			}
		})), request(t, host, ""))
		if !called {
			t.Errorf("%s was refused", host)
		}
	}
}

func TestErrorHandlerAndLoggerAreToldTheCause(t *testing.T) {
	t.Parallel()
	var log journal
	m := newMiddleware(t, middleware.Config{
		Logger: log.logger(),
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, "sorry", middleware.StatusCode(err))
		},
	})
	w := serve(m.Handler(http.HandlerFunc(served)), request(t, "globex.example.com", "acme"))
	if w.Code != http.StatusNotFound || w.Body.String() != "sorry\n" {
		t.Errorf("answered %d %q", w.Code, w.Body)
	}
	for _, want := range []string{"level=WARN", "status=404", `token for \"acme\", request for \"globex\"`} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("log %q does not say %q", &log, want)
		}
	}
	serve(m.Handler(http.HandlerFunc(served)), request(t, "evil.net\r\nlevel=ERROR", "acme"))
	serve(m.Handler(http.HandlerFunc(served)), request(t, "acme.example.com", ""))
	lines := strings.Split(log.String(), "\n")
	if len(lines) != 3 || !strings.Contains(lines[2], "level=INFO") || strings.Contains(log.String(), "evil") {
		t.Errorf("log: %q", lines)
	}
}

func TestResponseWriterIsNotWrapped(t *testing.T) {
	t.Parallel()
	m := newMiddleware(t, middleware.Config{})
	w := httptest.NewRecorder()
	m.Handler(http.HandlerFunc(func(got http.ResponseWriter, _ *http.Request) {
		if got != w {
			t.Errorf("the handler got a %T", got)
		}
	})).ServeHTTP(w, request(t, "acme.example.com", "acme"))
}
