package middleware_test

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/middleware"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

func TestSubdomainOfBaseIsTheTenant(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ base, host, want string }{
		{"example.com", "acme.example.com", "acme"},
		{"example.com", "ACME.Example.COM", "acme"},
		{"example.com", "acme.example.com:443", "acme"},
		{"example.com", "acme.example.com.", "acme"},
		{"example.com", "acme.example.com.:8080", "acme"},
		{"Example.com.", "acme.example.com", "acme"},
		{"localhost", "acme.localhost:8080", "acme"},
		{"app.example.co.uk", "a_b-c.app.example.co.uk", "a_b-c"},
		{"xn--bcher-kva.example", "acme.xn--bcher-kva.example", "acme"},
		{"example.com", "xn--bcher-kva.example.com", "xn--bcher-kva"},
		{"example.com", "127.example.com", "127"},
		{"example.com", strings.Repeat("a", 55) + ".example.com", strings.Repeat("a", 55)},
	} {
		id, err := subdomain(t, c.base)(&http.Request{Host: c.host})
		if err != nil || id != tenancy.ID(c.want) {
			t.Errorf("%q under %q: %q, %v", c.host, c.base, id, err)
		}
	}
	for _, host := range []string{"example.com", "EXAMPLE.com", "example.com:80", "example.com.", "example.com.:80"} {
		_, err := subdomain(t, "example.com")(&http.Request{Host: host})
		if !errors.Is(err, middleware.ErrNoTenant) {
			t.Errorf("%q: %v", host, err)
		}
	}
}

// hostileHosts must not name a tenant under example.com.
func hostileHosts() []string {
	return []string{
		"", " ", ".", "..", ":", ":80", "-", "*", "acme", "com", "localhost",
		// other domains
		"evil.net", "acme.evil.net", "acme.example.com.evil.net", "acme.example.com.evil.net.",
		"evilexample.com", "acme.evilexample.com",
		"acme-example.com", "example.com.evil.net", "acme.example.org", "acme.example.co",
		"acme.xample.com", "xexample.com", "acme.com",
		"acmeexample.com", "acme_example.com", "example.comacme", "acme.example.com-", "acme.example.com0",
		// more or other labels
		"a.acme.example.com", "acme.example.com.example.com", "example.com.example.com", ".example.com",
		"..example.com", "acme..example.com",
		".acme.example.com", "acme.example..com", "acme.example.com..", "acme..", "*.example.com",
		"-acme.example.com", "_acme.example.com",
		"_dmarc.acme.example.com", "www.acme.example.com", strings.Repeat("a", 56) + ".example.com",
		strings.Repeat("a.", 126) + "example.com",
		strings.Repeat("a", 1<<20), strings.Repeat(".", 300) + "example.com",
		// ports
		"acme.example.com:", "acme.example.com:80:80", "acme.example.com:http", "acme.example.com:-1",
		"acme.example.com:+80",
		"acme.example.com:123456", "acme.example.com:8 0", "acme.example.com:80.",
		"acme.example.com:80@evil.net", "acme:80.example.com",
		"evil.net:80.example.com", "acme.example.com:０", ":acme.example.com", "acme.example.com:80/",
		// addresses
		"127.0.0.1", "127.0.0.1:80", "10.0.0.1.", "[::1]", "[::1]:80", "::1", "fe80::1%eth0",
		"[fe80::1%25eth0]:80", "::ffff:127.0.0.1",
		"[acme.example.com]", "[acme].example.com", "[::1].example.com", "2130706433", "0x7f.1", "0177.0.0.1",
		// user information, paths, queries
		"admin@acme.example.com", "evil.net@acme.example.com", "acme@example.com",
		"acme.example.com@evil.net", "a:b@acme.example.com",
		"acme.example.com/", "/acme.example.com", "acme.example.com/evil.net", "evil.net/.example.com",
		"evil.net\\.example.com",
		"acme.example.com?", "evil.net?.example.com", "evil.net#.example.com", "acme.example.com#",
		"http://acme.example.com", "//acme.example.com",
		// several
		"acme.example.com,globex.example.com", "acme.example.com, globex.example.com",
		"acme.example.com globex.example.com",
		"acme.example.com;globex", "acme,globex.example.com", "acme.example.com,",
		// characters that no host has
		" acme.example.com", "acme.example.com ", "acme .example.com", "\tacme.example.com",
		"acme.example.com\n", "acme\r\n.example.com",
		"acme.example.com\r\nX-Tenant-ID: globex", "acme\x00.example.com", "acme.example.com\x00",
		"acme.example.com\x00.evil.net",
		"\x7facme.example.com", "acme'.example.com", "acme\".example.com", "acme%2e.example.com",
		"acme%00.example.com", "%61cme.example.com",
		"acme%.example.com", "acme$.example.com", "acme+1.example.com", "acme~.example.com",
		"acme!.example.com", "acme(.example.com",
		"acme=.example.com", "acme&.example.com", "acme|.example.com", "acme`.example.com",
		"{acme}.example.com", "<acme>.example.com",
		"../acme.example.com", "acme/../globex.example.com", "'; DROP DATABASE acme; --.example.com",
		// letters that fold, look alike or are not UTF-8
		"ａｃｍｅ.example.com", "acme。example.com", "acme．example.com", "acme.example｡com", "аcme.example.com",
		"acmé.example.com",
		"\u212Aacme.example.com", "\u0130acme.example.com", "ſacme.example.com", "acme.exampſe.com",
		"acme\u00ad.example.com",
		"acme\u200b.example.com", "\u202eacme.example.com", "\ufeffacme.example.com",
		"acme\xff.example.com", "\xc0\xaeacme.example.com",
		"acme\u0301.example.com", "①.example.com", "acme.ｅxample.com", "bücher.example.com", "acme．evil.net",
	}
}

func TestHostileHostsAreRefused(t *testing.T) {
	t.Parallel()
	hosts := hostileHosts()
	if len(hosts) < 140 {
		t.Errorf("only %d hosts", len(hosts))
	}
	identify := subdomain(t, "example.com")
	h := newMiddleware(t, middleware.Config{}).Handler(http.HandlerFunc(served))
	named := 0
	defer func() { pgtest.Figure(t, "S3", "%d hostile hosts: %d named a tenant", len(hosts), named) }()
	for _, host := range hosts {
		id, err := identify(&http.Request{Host: host})
		if id != "" {
			named++
		}
		if id != "" || !errors.Is(err, middleware.ErrMisaddressed) && !errors.Is(err, tenancy.ErrInvalidID) {
			t.Errorf("%.80q: %q, %v", host, id, err)
		}
		if w := serve(h, request(t, host, "acme")); w.Code != http.StatusNotFound {
			t.Errorf("%.80q with a token: %d", host, w.Code)
		}
	}
}

func TestHostThatIsGivenTwiceIsRefused(t *testing.T) {
	t.Parallel()
	identify := subdomain(t, "example.com")
	for name, r := range map[string]*http.Request{
		"Host header beside Host": {Host: "acme.example.com", Header: http.Header{"Host": {"globex.example.com"}}},
		"one of two Host headers": {
			Host: "acme.example.com", Header: http.Header{"Host": {"acme.example.com", "globex.example.com"}},
		},
		"Host header without Host": {Header: http.Header{"Host": {"acme.example.com"}}},
		"user information": {Host: "acme.example.com", URL: &url.URL{
			Host: "acme.example.com",
			User: url.User("admin"),
		}},
	} {
		if id, err := identify(r); !errors.Is(err, middleware.ErrMisaddressed) {
			t.Errorf("%s: %q, %v", name, id, err)
		}
	}
	id, err := identify(&http.Request{Host: "acme.example.com", Header: http.Header{"Host": {"acme.example.com"}}})
	if id != "acme" || err != nil {
		t.Errorf("the same host twice: %q, %v", id, err)
	}
}

func TestBaseThatIsNoDomainIsRefused(t *testing.T) {
	t.Parallel()
	for _, base := range []string{
		"", ".", ".example.com", "example.com:8080", "10.0.0.1", "*.example.com", "https://example.com", "bücher.example",
		"a..b",
	} {
		if identify, err := middleware.FromSubdomain(base); identify != nil || err == nil {
			t.Errorf("%q was accepted", base)
		}
	}
}

func FuzzSubdomain(f *testing.F) {
	f.Add("acme.example.com", "example.com")
	f.Add("ACME.example.com.:443", "localhost")
	for _, host := range hostileHosts() {
		if len(host) < 1000 {
			f.Add(host, "example.com")
		}
	}
	f.Fuzz(func(t *testing.T, host, base string) {
		identify, err := middleware.FromSubdomain(base)
		if err != nil {
			return
		}
		checkHost(t, identify, host, base)
	})
}

// TestMillionsOfHostsNameTheTenantThatTheySayOrNone does what FuzzSubdomain does, faster.
func TestMillionsOfHostsNameTheTenantThatTheySayOrNone(t *testing.T) {
	t.Parallel()
	identify := subdomain(t, "example.com")
	good := []string{"acme.example.com", "acme.example.com:8080", "ACME.Example.com.", "a_b-c.example.com"}
	seeds := append(hostileHosts(), slices.Repeat(good, 20)...)
	seeds = slices.DeleteFunc(seeds, func(host string) bool { return len(host) > 300 })
	all, named := pgtest.Size(50_000, 5_000_000), 0
	for host := range pgtest.Mutations(all, seeds) {
		if checkHost(t, identify, host, "example.com") {
			named++
		}
	}
	if named == 0 {
		t.Error("none named a tenant: that shows nothing")
	}
	pgtest.Figure(t, "S3", "%d hosts: %d named a tenant, the one that they say", all, named)
}

// checkHost reports whether host names a tenant. If so it must be the one label in front of base, and spellings that
// mean the same must name it too.
func checkHost(t *testing.T, identify middleware.Identifier, host, base string) bool {
	t.Helper()
	r := &http.Request{Host: host}
	id, err := identify(r)
	if err != nil {
		if id != "" {
			t.Errorf("%q under %q: %q and %v", host, base, id, err)
		}
		return false
	}
	name, _, _ := strings.Cut(strings.ToLower(host), ":")
	if !id.Valid() || strings.TrimSuffix(name, ".") != string(id)+"."+strings.TrimSuffix(strings.ToLower(base), ".") {
		t.Errorf("%q under %q is taken for %q", host, base, id)
	}
	for _, same := range []string{strings.ToUpper(host), string(id) + "." + strings.TrimSuffix(base, ".")} {
		r.Host = same
		if again, err := identify(r); again != id || err != nil {
			t.Errorf("%q under %q is %q, but %q is %q, %v", host, base, id, same, again, err)
		}
	}
	return true
}
