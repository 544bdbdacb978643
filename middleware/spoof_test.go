package middleware_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/middleware"
)

// spoofedHeaders are those by which somebody, somewhere, lets a client say which host or tenant it wants, or who it is.
func spoofedHeaders() []string {
	return []string{
		"X-Forwarded-Host", "X-Forwarded-Server", "X-Original-Host", "X-Host", "X-HTTP-Host-Override", "X-Rewrite-URL",
		"X-Original-URL", "Forwarded", "X-Real-Host", "X-Tenant-ID", "X-Tenant", "Tenant-ID", "X-Forwarded-Prefix",
		"X-Forwarded-For", "X-Real-IP", "Via", "X-Backend-Host", "X-Forwarded-Proto", "True-Client-IP", ":authority",
		"X_Tenant_ID", "x-tenant-id ",
	}
}

// spoofs are values that name victim.
func spoofs(victim string) []string {
	host := victim + ".example.com"
	return []string{
		victim, host, "host=" + host, `for=127.0.0.1;host="` + host + `";proto=https`, "https://" + host + "/",
		host + ", proxy.example.net", "10.1.2.3",
	}
}

func TestForwardingHeadersAreNeverRead(t *testing.T) {
	t.Parallel()
	const own, victim = "acme", "globex"
	proxies := middleware.FromTrustedHeader("X-Tenant-ID", netip.MustParsePrefix("10.1.2.3/32"))
	host := subdomain(t, "example.com")
	combinations, honoured := 0, 0
	defer func() {
		pgtest.Figure(t, "S3", "%d combinations of header, value, peer and way to identify: %d spoofs honoured",
			combinations, honoured)
	}()
	good := "Bearer " + token(t, own)
	for how, identify := range map[string]middleware.Identifier{
		"subdomain": host, "header or subdomain": middleware.FirstOf(proxies, host), "token alone": nil,
	} {
		cfg := middleware.Config{Identify: identify}
		if identify == nil {
			cfg.Identify = middleware.FirstOf() // newMiddleware would fill in one
		}
		h := newMiddleware(t, cfg).Handler(http.HandlerFunc(served))
		for _, peer := range []string{"192.0.2.1:1234", "127.0.0.1:1234", "10.1.2.4:1234", "[::1]:1234", "@", ""} {
			for _, name := range spoofedHeaders() {
				for i, value := range spoofs(victim) {
					combinations++
					send := func(host, value string) (int, string) {
						r := request(t, host, "")
						r.RemoteAddr = peer
						r.Header.Set("Authorization", good)
						r.Header[http.CanonicalHeaderKey(name)] = []string{value}
						w := serve(h, r)
						return w.Code, w.Body.String()
					}
					if code, body := send(own+".example.com", value); body != "tenant "+own {
						honoured++
						t.Errorf("%s, %s from %q: %s changes the answer to %d %s", how, name, peer, value, code, body)
					}
					mended := spoofs(own)[i]
					if code, _ := send(victim+".example.com", mended); identify != nil && code != http.StatusNotFound {
						honoured++
						t.Errorf("%s, %s from %q: %s mends a mismatch: %d", how, name, peer, mended, code)
					}
				}
			}
		}
	}
	// From the proxy itself the one header counts, and no other.
	h := newMiddleware(t, middleware.Config{Identify: middleware.FirstOf(proxies, host)}).Handler(http.HandlerFunc(served))
	for _, name := range spoofedHeaders() {
		r := request(t, own+".example.com", own)
		r.RemoteAddr = "10.1.2.3:1234"
		r.Header[http.CanonicalHeaderKey(name)] = []string{victim}
		w := serve(h, r)
		if counts := strings.EqualFold(name, "X-Tenant-ID"); counts != (w.Code == http.StatusNotFound) {
			t.Errorf("%s from the proxy: %d %s", name, w.Code, w.Body)
		}
	}
}

func TestPublicSiteIsNotChosenBySpoofedHeaders(t *testing.T) {
	t.Parallel()
	h := newMiddleware(t, middleware.Config{Public: true}).Handler(http.HandlerFunc(served))
	for _, name := range spoofedHeaders() {
		for _, value := range spoofs("globex") {
			r := request(t, "acme.example.com", "")
			r.Header[http.CanonicalHeaderKey(name)] = []string{value}
			if w := serve(h, r); w.Body.String() != "tenant acme" {
				t.Errorf("%s: %s is served %s", name, value, fmt.Sprint(w.Code, " ", w.Body))
			}
		}
	}
}
