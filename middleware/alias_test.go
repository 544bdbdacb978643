package middleware_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/idna"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/middleware"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// aliases maps the names that it knows.
type aliases map[string]tenancy.ID

func (a aliases) ResolveAlias(_ context.Context, alias string) (tenancy.ID, error) {
	if alias == "down.example" {
		return "", errors.New("registry: no answer")
	}
	id, ok := a[alias]
	if !ok {
		return "", tenancy.ErrNotFound
	}
	return id, nil
}

func known() aliases {
	return aliases{
		"notes.customer.com": "acme", "xn--mnchen-3ya.example": "globex", "org_2abcDEFghiJKL": "acme",
		"acme.example.com": "globex", // which FromHost must not ask for
	}
}

func TestHostIsAnAlias(t *testing.T) {
	t.Parallel()
	custom, err := middleware.FromHost(known(), "Example.com.")
	if err != nil {
		t.Fatal(err)
	}
	identify := middleware.FirstOf(custom, subdomain(t, "example.com"))
	for host, want := range map[string]struct {
		id  tenancy.ID
		err error
	}{
		"notes.customer.com":          {"acme", nil},
		"Notes.Customer.COM.:8443":    {"acme", nil},
		"xn--mnchen-3ya.example":      {"globex", nil},
		"XN--Mnchen-3YA.example:80":   {"globex", nil},
		"münchen.example":             {"globex", nil},
		"MÜNCHEN.example.:80":         {"globex", nil},
		"mu\u0308nchen.example":       {"globex", nil}, // decomposed
		"münchen。example":             {"globex", nil}, // the ideographic full stop
		"acme.example.com":            {"acme", nil},   // a subdomain and no alias
		"example.com":                 {"", middleware.ErrNoTenant},
		"a.b.example.com":             {"", middleware.ErrMisaddressed},
		"notes.customer.com.evil.net": {"", tenancy.ErrNotFound},
		"xnotes.customer.com":         {"", tenancy.ErrNotFound},
		"customer.com":                {"", tenancy.ErrNotFound},
		"myexample.com":               {"", tenancy.ErrNotFound},
		"org_2abcdefghijkl":           {"", tenancy.ErrNotFound},
		"notes.customer.com:port":     {"", middleware.ErrMisaddressed},
		"münchen.example:port":        {"", middleware.ErrMisaddressed},
		"notes..customer.com":         {"", middleware.ErrMisaddressed},
		"münchen..example":            {"", middleware.ErrMisaddressed},
		"mün chen.example":            {"", middleware.ErrMisaddressed},
		"m\xfcnchen.example":          {"", middleware.ErrMisaddressed}, // not UTF-8
		"192.0.2.1":                   {"", middleware.ErrMisaddressed},
		"[2001:db8::1]:80":            {"", middleware.ErrMisaddressed},
		"１９２.0.2.1":                   {"", middleware.ErrMisaddressed}, // full width
		"":                            {"", middleware.ErrMisaddressed},
		"down.example":                {"", middleware.ErrUnavailable},
		strings.Repeat("ü.", 400):     {"", middleware.ErrMisaddressed},
	} {
		id, err := identify((&http.Request{Host: host}).WithContext(t.Context()))
		if id != want.id || !errors.Is(err, want.err) {
			t.Errorf("%q: %q, %v; want %q, %v", host, id, err, want.id, want.err)
		}
	}
	for name, r := range map[string]*http.Request{
		"another Host": {Host: "notes.customer.com", Header: http.Header{"Host": {"münchen.example"}}},
		"a user":       {Host: "notes.customer.com", URL: &url.URL{User: url.User("münchen.example")}},
	} {
		if id, err := identify(r); id != "" || !errors.Is(err, middleware.ErrMisaddressed) {
			t.Errorf("%s: %q, %v", name, id, err)
		}
	}
}

func TestFromHostReportsEveryViolation(t *testing.T) {
	t.Parallel()
	_, err := middleware.FromHost(nil, "example.com", "example.com:80", "")
	for _, want := range []string{"aliases: required", `"example.com:80"`, `""`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %s", err, want)
		}
	}
}

func TestAliasNamesTheTenant(t *testing.T) {
	t.Parallel()
	identify := middleware.FromAlias(known(), func(r *http.Request) string { return r.Header.Get("X-Org-ID") })
	for value, want := range map[string]struct {
		id  tenancy.ID
		err error
	}{
		"org_2abcDEFghiJKL": {"acme", nil},
		"org_2abcdefghijkl": {"", tenancy.ErrNotFound}, // another organization's, perhaps
		"":                  {"", middleware.ErrNoTenant},
		"down.example":      {"", middleware.ErrUnavailable},
	} {
		id, err := identify((&http.Request{Header: http.Header{"X-Org-Id": {value}}}).WithContext(t.Context()))
		if id != want.id || !errors.Is(err, want.err) {
			t.Errorf("%q: %q, %v; want %q, %v", value, id, err, want.id, want.err)
		}
	}
}

func TestTokenNamesTheTenantByAlias(t *testing.T) {
	t.Parallel()
	m := newMiddleware(t, middleware.Config{Verifier: middleware.VerifyAlias(newVerifier(t), known())})
	for _, c := range []struct {
		tenant, host string
		code         int
	}{
		{"org_2abcDEFghiJKL", "acme.example.com", http.StatusOK},
		{"org_2abcDEFghiJKL", "example.com", http.StatusOK},
		{"org_2abcDEFghiJKL", "globex.example.com", http.StatusNotFound},
		{"org_other", "acme.example.com", http.StatusNotFound},
		{"acme", "acme.example.com", http.StatusNotFound}, // an ID is no alias
		{"down.example", "acme.example.com", http.StatusServiceUnavailable},
		{"", "acme.example.com", http.StatusUnauthorized},
	} {
		if w := serve(m.Handler(http.HandlerFunc(served)), request(t, c.host, c.tenant)); w.Code != c.code {
			t.Errorf("token of %q for %s: %d %s, want %d", c.tenant, c.host, w.Code, w.Body, c.code)
		}
	}
	shared := &authn.Identity{Subject: "u1", Tenant: "org_2abcDEFghiJKL"}
	got, err := middleware.VerifyAlias(fixed{shared}, known()).Verify(t.Context(), "")
	if err != nil || got.Tenant != "acme" || shared.Tenant != "org_2abcDEFghiJKL" {
		t.Errorf("%v, %v; the verifier's own: %v", got, err, shared)
	}
}

// fixed verifies every token as its identity.
type fixed struct{ identity *authn.Identity }

func (f fixed) Verify(context.Context, string) (*authn.Identity, error) { return f.identity, nil }

// asked keeps the last alias.
type asked struct{ alias string }

func (a *asked) ResolveAlias(_ context.Context, alias string) (tenancy.ID, error) {
	a.alias = alias
	return "acme", nil
}

// Two spellings of a host must not be two aliases, and nothing but a domain name may be asked for.
func FuzzHostHasOneSpelling(f *testing.F) {
	for _, s := range []string{"Notes.Customer.COM.:8443", "münchen.example", "xn--mnchen-3ya.example", "ß.de", "a。b", "١.de"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, host string) {
		var first, again asked
		identify, err := middleware.FromHost(&first, "example.com")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := identify(&http.Request{Host: host}); err != nil {
			return
		}
		for _, c := range []byte(first.alias) {
			if c >= 0x80 || c <= ' ' || 'A' <= c && c <= 'Z' || c == ':' || c == '/' || c == '@' {
				t.Fatalf("%q asks for %q", host, first.alias)
			}
		}
		spellings := []string{first.alias, strings.ToUpper(first.alias), first.alias + ".:1"}
		unicode, err := idna.Lookup.ToUnicode(first.alias)
		if ascii, again := idna.Lookup.ToASCII(unicode); err == nil && again == nil && ascii == first.alias {
			spellings = append(spellings, unicode) // else it is no name's ASCII form, and no tenant's alias
		}
		for _, spelling := range spellings {
			identify, err := middleware.FromHost(&again)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := identify(&http.Request{Host: spelling}); err != nil || again.alias != first.alias {
				t.Fatalf("%q asks for %q, and %q for %q, %v", host, first.alias, spelling, again.alias, err)
			}
		}
	})
}
