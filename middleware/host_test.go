package middleware_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/middleware"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// aliases is an AliasResolver in memory.
type aliases map[string]tenancy.ID

var errAliases = errors.New("the directory is down")

func (a aliases) ResolveAlias(_ context.Context, alias string) (tenancy.ID, error) {
	if alias == "down.example" {
		return "", errAliases
	}
	if id, ok := a[alias]; ok {
		return id, nil
	}
	return "", tenancy.ErrNotFound
}

func TestHostThatIsAnAliasIsTheTenant(t *testing.T) {
	t.Parallel()
	identify := middleware.FromHost(aliases{"notes.acme.com": "acme", "xn--mnchen-3ya.example": "munich"})
	for host, want := range map[string]tenancy.ID{
		"notes.acme.com": "acme", "Notes.ACME.com:443": "acme", "notes.acme.com.": "acme", "XN--Mnchen-3ya.example": "munich",
	} {
		if id, err := identify(&http.Request{Host: host}); err != nil || id != want {
			t.Errorf("%q: %q, %v", host, id, err)
		}
	}
	for host, want := range map[string]error{
		"other.acme.com": tenancy.ErrNotFound, "acme.com": tenancy.ErrNotFound, "": middleware.ErrMisaddressed,
		"127.0.0.1": middleware.ErrMisaddressed, "münchen.other": tenancy.ErrNotFound,
		"down.example": middleware.ErrUnavailable,
	} {
		if id, err := identify(&http.Request{Host: host}); !errors.Is(err, want) || id != "" {
			t.Errorf("%q: %q, %v; want %v", host, id, err, want)
		}
	}
	spoofed := &http.Request{Host: "notes.acme.com", Header: http.Header{"Host": {"other.example"}}}
	if _, err := identify(spoofed); !errors.Is(err, middleware.ErrMisaddressed) {
		t.Errorf("two hosts: %v", err)
	}
}

func TestAliasThatIsUnknownIsLeftToTheNextIdentifier(t *testing.T) {
	t.Parallel()
	names := aliases{"notes.acme.com": "acme", "org_2abcDEF": "globex"}
	identify := middleware.FirstOf(
		middleware.FromAlias(names, func(r *http.Request) string { return r.Header.Get("X-Organization") }),
		middleware.FromAlias(names, middleware.HostAlias),
		subdomain(t, "example.com"),
	)
	for _, c := range []struct {
		host, header string
		want         tenancy.ID
		err          error
	}{
		{"example.com", "org_2abcDEF", "globex", nil},
		{"notes.acme.com", "", "acme", nil},
		{"notes.acme.com", "unknown", "acme", nil},
		{"initech.example.com", "", "initech", nil},
		{"example.com", "", "", middleware.ErrNoTenant},
		{"other.net", "", "", middleware.ErrMisaddressed},
		{"down.example", "", "", middleware.ErrUnavailable},
	} {
		r := &http.Request{Host: c.host, Header: http.Header{}}
		r.Header.Set("X-Organization", c.header)
		if id, err := identify(r); id != c.want || !errors.Is(err, c.err) {
			t.Errorf("%q, %q: %q, %v", c.host, c.header, id, err)
		}
	}
}

// fixedTenant verifies every token, as one of the tenant that it is.
type fixedTenant struct{}

func (fixedTenant) Verify(_ context.Context, raw string) (*authn.Identity, error) {
	return &authn.Identity{Subject: "s", Tenant: raw}, nil
}

func TestTokenWhoseTenantIsAnAlias(t *testing.T) {
	t.Parallel()
	r := newResolver(t, undialled(t), directory{"acme": "acme", "globex": "globex"})
	m, err := middleware.New(middleware.Config{
		Resolver: r, Verifier: fixedTenant{}, TokenAliases: aliases{"org_2abcDEF": "acme"},
		Identify: middleware.FirstOf(middleware.FromPathValue("tenant")),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		token, path string
		want        int
	}{
		{"org_2abcDEF", "", 200},
		{"org_2abcDEF", "acme", 200},
		{"org_2abcDEF", "globex", 404},
		{"acme", "", 401},
		{"org_2ABCDEF", "", 401},
		{"down.example", "", 503},
	} {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		req.SetPathValue("tenant", c.path)
		req.Header.Set("Authorization", "Bearer "+c.token)
		if w := serve(m.Handler(http.HandlerFunc(served)), req); w.Code != c.want {
			t.Errorf("token %q, path %q: %d, want %d", c.token, c.path, w.Code, c.want)
		}
	}
}

func TestAcquireDoesWhatHandlerDoes(t *testing.T) {
	t.Parallel()
	r := newResolver(t, undialled(t), directory{"acme": "acme"})
	m, err := middleware.New(middleware.Config{Resolver: r, Verifier: fixedTenant{}})
	if err != nil {
		t.Fatal(err)
	}
	for token, want := range map[string]int{"acme": 200, "globex": 404, "": 401} {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		ctx, lease, err := m.Acquire(req)
		if got := middleware.StatusCode(err); got != want {
			t.Errorf("%q: %d, want %d", token, got, want)
		}
		if err != nil {
			w := httptest.NewRecorder()
			m.Refuse(w, req, err)
			if lease != nil || w.Code != want {
				t.Errorf("%q: answered %d with lease %v", token, w.Code, lease)
			}
			continue
		}
		identity, ok := authn.FromContext(ctx)
		if held, _ := tenancy.FromContext(ctx); held != lease || !ok || identity.Tenant != token {
			t.Errorf("%q: the context lacks the lease or the identity", token)
		}
		lease.Release()
	}
	if n := r.Stat().Leases(); n != 0 {
		t.Errorf("%d leases are left", n)
	}
}
