package middleware_test

import (
	"errors"
	"net/http"
	"net/netip"
	"testing"

	"github.com/pgtenancy/pgtenancy/middleware"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

func TestHeaderCountsFromTrustedPeersOnly(t *testing.T) {
	t.Parallel()
	proxy := []netip.Prefix{
		netip.MustParsePrefix("10.1.2.0/24"), netip.MustParsePrefix("fd00::/8"), netip.MustParsePrefix("fe80::/10"),
	}
	for _, c := range []struct {
		peers  []netip.Prefix
		remote string
		values []string
		want   tenancy.ID
		err    error
	}{
		{proxy, "10.1.2.3:1234", []string{"acme"}, "acme", nil},
		{proxy, "[::ffff:10.1.2.3]:1234", []string{"acme"}, "acme", nil},
		{proxy, "[fd00::1]:1234", []string{"acme"}, "acme", nil},
		{proxy, "[fe80::1%eth0]:1234", []string{"acme"}, "acme", nil},
		{proxy, "10.1.2.3:1234", nil, "", middleware.ErrNoTenant},
		{proxy, "10.1.2.3:1234", []string{"acme", "acme"}, "", middleware.ErrMisaddressed},
		{proxy, "10.1.2.3:1234", []string{"acme", "globex"}, "", middleware.ErrMisaddressed},
		{proxy, "10.1.2.3:1234", []string{"acme,globex"}, "", tenancy.ErrInvalidID},
		{proxy, "10.1.2.3:1234", []string{"Acme"}, "", tenancy.ErrInvalidID},
		{proxy, "10.1.2.3:1234", []string{""}, "", tenancy.ErrInvalidID},
		{proxy, "10.1.3.3:1234", []string{"acme"}, "", middleware.ErrNoTenant},
		{proxy, "10.1.3.3:1234", []string{"acme", "globex"}, "", middleware.ErrNoTenant},
		{proxy, "[2001:db8::1]:1234", []string{"acme"}, "", middleware.ErrNoTenant},
		{proxy, "10.1.2.3", []string{"acme"}, "", middleware.ErrNoTenant},
		{proxy, "", []string{"acme"}, "", middleware.ErrNoTenant},
		{proxy, "@", []string{"acme"}, "", middleware.ErrNoTenant}, // a Unix socket
		{proxy, "10.1.2.3:1234, 1.2.3.4:5", []string{"acme"}, "", middleware.ErrNoTenant},
		{nil, "10.1.2.3:1234", []string{"acme"}, "", middleware.ErrNoTenant},
		{nil, "127.0.0.1:1234", []string{"acme"}, "", middleware.ErrNoTenant},
		{[]netip.Prefix{{}}, "10.1.2.3:1234", []string{"acme"}, "", middleware.ErrNoTenant},
	} {
		r := &http.Request{RemoteAddr: c.remote, Header: http.Header{"X-Tenant-Id": c.values}}
		r.Header.Set("X-Forwarded-For", "10.1.2.3")
		r.Header.Set("X-Real-Ip", "10.1.2.3")
		id, err := middleware.FromTrustedHeader("X-Tenant-ID", c.peers...)(r)
		if id != c.want || !errors.Is(err, c.err) {
			t.Errorf("%q from %s: %q, %v, want %q, %v", c.values, c.remote, id, err, c.want, c.err)
		}
	}
}

func TestFirstOfStopsAtAnAnswerOrARefusal(t *testing.T) {
	t.Parallel()
	none := func(*http.Request) (tenancy.ID, error) { return "", middleware.ErrNoTenant }
	acme := func(*http.Request) (tenancy.ID, error) { return "acme", nil }
	refuses := func(*http.Request) (tenancy.ID, error) { return "", middleware.ErrMisaddressed }
	for name, c := range map[string]struct {
		ids  []middleware.Identifier
		want tenancy.ID
		err  error
	}{
		"nothing":        {nil, "", middleware.ErrNoTenant},
		"none":           {[]middleware.Identifier{none, none}, "", middleware.ErrNoTenant},
		"second":         {[]middleware.Identifier{none, acme, refuses}, "acme", nil},
		"refused":        {[]middleware.Identifier{none, refuses, acme}, "", middleware.ErrMisaddressed},
		"FirstOf inside": {[]middleware.Identifier{middleware.FirstOf(none), acme}, "acme", nil},
	} {
		if id, err := middleware.FirstOf(c.ids...)(&http.Request{}); id != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %q, %v", name, id, err)
		}
	}
}
