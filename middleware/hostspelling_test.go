package middleware_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/idna"

	"github.com/pgtenancy/pgtenancy/middleware"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

func TestHostHasOneSpelling(t *testing.T) {
	t.Parallel()
	identify := middleware.FromHost(aliases{
		"notes.customer.com": "acme", "xn--mnchen-3ya.example": "globex", "org_2abcdefghijkl": "acme",
	})
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
		"notes.customer.com.evil.net": {"", tenancy.ErrNotFound},
		"xnotes.customer.com":         {"", tenancy.ErrNotFound},
		"customer.com":                {"", tenancy.ErrNotFound},
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
		if _, err := middleware.FromHost(&first)(&http.Request{Host: host}); err != nil {
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
			if _, err := middleware.FromHost(&again)(&http.Request{Host: spelling}); err != nil || again.alias != first.alias {
				t.Fatalf("%q asks for %q, and %q for %q, %v", host, first.alias, spelling, again.alias, err)
			}
		}
	})
}
