package middleware

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// maxHost is the longest Host: a name of 253 bytes (RFC 1035 section 3.1), a final dot, a port.
const maxHost = 253 + len(".:65535")

// FromSubdomain identifies by the Host of the request: with base "example.com", "acme.example.com" addresses acme, and
// "example.com" itself no tenant.
//
// It fails closed. The Host is compared in lower case, without port and without one final dot; it must then be base or
// exactly one label, a tenant's ID, in front of base. Everything else is refused with [ErrMisaddressed] or
// [tenancy.ErrInvalidID]: another domain ("acme.example.com.evil.net", "evilexample.com"), more labels
// ("a.b.example.com"), an IP address, an internationalized name that is not in its ASCII form, an empty Host or two
// different ones, user information.
//
// X-Forwarded-Host, Forwarded and the like are never read: behind a proxy that changes Host, have it keep Host, or see
// [FromTrustedHeader]. A name of your own under base, such as "www", is treated as a tenant's ID: do not let a tenant
// have it.
//
// A base that is not a domain name in ASCII without a port is an error.
func FromSubdomain(base string) (Identifier, error) {
	name := hostname(base)
	if name == "" || strings.Contains(base, ":") {
		return nil, fmt.Errorf("middleware: FromSubdomain: %q is not a domain name", base)
	}
	return func(r *http.Request) (tenancy.ID, error) {
		host, err := requestHost(r)
		if err != nil {
			return "", err
		}
		return underBase(host, name)
	}, nil
}

func underBase(host, base string) (tenancy.ID, error) {
	if host == base {
		return "", ErrNoTenant
	}
	label, ok := strings.CutSuffix(host, "."+base)
	if !ok || strings.Contains(label, ".") {
		return "", ErrMisaddressed
	}
	return tenancy.ParseID(label)
}

// hostname returns the domain name in host in lower case, without port and final dot; "" if there is none. An IP
// address is none.
func hostname(host string) string {
	if len(host) > maxHost {
		return ""
	}
	name, port, ok := strings.Cut(host, ":")
	if ok && !isPort(port) {
		return ""
	}
	name = strings.TrimSuffix(name, ".")
	lower := []byte(name)
	for i, c := range lower {
		switch {
		case 'A' <= c && c <= 'Z':
			lower[i] = c + 'a' - 'A'
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		default:
			return ""
		}
	}
	name = string(lower)
	if name == "" || name[0] == '.' || name[len(name)-1] == '.' || strings.Contains(name, "..") {
		return ""
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return ""
	}
	return name
}

func isPort(s string) bool {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(s) >= 1 && len(s) <= 5
}
