package middleware

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// AliasResolver finds tenants by other names than their IDs; *[tenancy.Resolver] is one. ResolveAlias returns an error
// that matches tenancy.ErrNotFound if there is no such alias. ctx is the request's.
type AliasResolver interface {
	ResolveAlias(ctx context.Context, alias string) (tenancy.ID, error)
}

// FromHost identifies by the Host of the request, which must be an alias of the tenant: for domains that tenants
// bring, such as "notes.acme.com". The alias asked for is the Host in lower case, without port and without one final
// dot, and in its ASCII form ("xn--mnchen-3ya.example" for "münchen.example"): give the alias in that spelling. A Host
// that is no alias is refused with [tenancy.ErrNotFound], and what is no domain name with [ErrMisaddressed]. Let a
// tenant have a domain only after it has proven that it owns it.
//
// In [FirstOf], before FromSubdomain, use [FromAlias] with [HostAlias] instead: it passes on what it does not know.
func FromHost(aliases AliasResolver) Identifier {
	return func(r *http.Request) (tenancy.ID, error) {
		name, err := asciiHost(r)
		if err != nil {
			return "", err
		}
		return resolve(r, aliases, name)
	}
}

// FromAlias identifies by the alias that value returns for a request: the id that another service gave the tenant,
// say, from a header or a path value. An empty one names no tenant, and neither does an unknown alias: in FirstOf
// the next Identifier is asked. The directory's own failures refuse the request.
//
// Like every Identifier it proves nothing. Config.TokenAliases is for tokens whose tenant is an alias.
func FromAlias(aliases AliasResolver, value func(r *http.Request) string) Identifier {
	return func(r *http.Request) (tenancy.ID, error) {
		alias := value(r)
		if alias == "" {
			return "", ErrNoTenant
		}
		id, err := resolve(r, aliases, alias)
		if errors.Is(err, tenancy.ErrNotFound) {
			return "", fmt.Errorf("%w: %w", ErrNoTenant, err)
		}
		return id, err
	}
}

// HostAlias is a value for FromAlias: the Host as FromHost reads it, "" if it is no domain name.
func HostAlias(r *http.Request) string {
	name, _ := asciiHost(r)
	return name
}

func resolve(r *http.Request, aliases AliasResolver, alias string) (tenancy.ID, error) {
	id, err := aliases.ResolveAlias(r.Context(), alias)
	if err != nil {
		return "", answer(err)
	}
	return id, nil
}

// requestHost returns the domain name that r addresses. It refuses two different ones, and user information.
func requestHost(r *http.Request) (string, error) {
	for _, host := range r.Header["Host"] { // net/http takes it out of HTTP/1 requests
		if host != r.Host {
			return "", ErrMisaddressed
		}
	}
	name := hostname(r.Host)
	if name == "" || r.URL != nil && r.URL.User != nil {
		return "", ErrMisaddressed
	}
	return name, nil
}

// asciiHost is requestHost, with internationalized labels in their ASCII form.
func asciiHost(r *http.Request) (string, error) {
	name, port, ok := strings.Cut(r.Host, ":")
	if isASCII(name) || len(name) > maxHost || !utf8.ValidString(name) {
		return requestHost(r)
	}
	name, err := idna.Lookup.ToASCII(strings.TrimSuffix(name, "."))
	if err != nil {
		return "", ErrMisaddressed
	}
	if ok {
		name += ":" + port
	}
	for _, host := range r.Header["Host"] {
		if host != r.Host {
			return "", ErrMisaddressed
		}
	}
	ascii := http.Request{Host: name, URL: r.URL}
	return requestHost(&ascii)
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c >= utf8.RuneSelf })
}
