package middleware

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Aliases knows tenants by names other than their IDs: domains of their own, ids of an identity provider.
// *[tenancy.Resolver] is one, with a cache.
//
// ResolveAlias returns the tenant that has the alias, and an error that matches tenancy.ErrNotFound if no tenant has
// it. ctx is the request's. It must copy the alias if it keeps it.
type Aliases interface {
	ResolveAlias(ctx context.Context, alias string) (tenancy.ID, error)
}

// FromHost identifies by the Host of the request, as an alias: "notes.customer.com" addresses the tenant that has this
// alias. The alias asked for is the Host in lower case, without port and without one final dot; an internationalized
// name in its ASCII form ("xn--mnchen-3ya.example" for "münchen.example").
//
// A Host that is one of own, or below one of own, names no tenant: these are the service's domains. To serve custom
// domains and subdomains, put FromSubdomain after it:
//
//	custom, err := middleware.FromHost(resolver, "example.com")
//	subdomain, err := middleware.FromSubdomain("example.com")
//	identify := middleware.FirstOf(custom, subdomain)
//
// It fails closed as FromSubdomain does: a Host that is no domain name, an IP address, two different Hosts and user
// information are refused with [ErrMisaddressed], and a Host that is no tenant's alias with tenancy.ErrNotFound. No
// header but Host is read. An alias proves nothing, as any address: let a tenant have a domain only after it has proven
// that it owns it.
//
// An own domain that is not a domain name in ASCII without a port is an error, and so is no Aliases.
func FromHost(aliases Aliases, own ...string) (Identifier, error) {
	var errs []error
	if aliases == nil {
		errs = append(errs, errors.New("middleware: FromHost: aliases: required"))
	}
	own = slices.Clone(own)
	for i, domain := range own {
		if own[i] = hostname(domain); own[i] == "" || strings.Contains(domain, ":") {
			errs = append(errs, fmt.Errorf("middleware: FromHost: %q is not a domain name", domain))
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return func(r *http.Request) (tenancy.ID, error) {
		if err := oneHost(r); err != nil {
			return "", err
		}
		host := asciiHostname(r.Host)
		if host == "" {
			return "", ErrMisaddressed
		}
		for _, domain := range own {
			if host == domain || strings.HasSuffix(host, "."+domain) {
				return "", ErrNoTenant
			}
		}
		return resolveAlias(r.Context(), aliases, host)
	}, nil
}

// asciiHostname returns hostname of host, with internationalized labels in their ASCII form.
func asciiHostname(host string) string {
	if isASCII(host) || len(host) > maxHost {
		return hostname(host)
	}
	name, port, ok := strings.Cut(host, ":")
	if ok && !isPort(port) || !utf8.ValidString(name) {
		return ""
	}
	name, err := idna.Lookup.ToASCII(strings.TrimSuffix(name, "."))
	if err != nil {
		return ""
	}
	return hostname(name)
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c >= 0x80 })
}

// FromAlias identifies by an alias that the function value reads from the request, such as an identity provider's id
// of the organization, "org_2abcDEFghiJKL", in a header or a path:
//
//	middleware.FromAlias(resolver, func(r *http.Request) string { return r.Header.Get("X-Org-ID") })
//
// The alias is asked for as it is. "" names no tenant. See [FromTrustedHeader] on where a header can be trusted: with a
// token it need not be, because the token decides.
func FromAlias(aliases Aliases, value func(r *http.Request) string) Identifier {
	return func(r *http.Request) (tenancy.ID, error) {
		alias := value(r)
		if alias == "" {
			return "", ErrNoTenant
		}
		return resolveAlias(r.Context(), aliases, alias)
	}
}

func resolveAlias(ctx context.Context, aliases Aliases, alias string) (tenancy.ID, error) {
	id, err := aliases.ResolveAlias(ctx, alias)
	if err != nil {
		return "", answer(err)
	}
	return id, nil
}

// VerifyAlias returns a Verifier that verifies by v, and whose identities name their tenants by alias: for tokens of an
// identity provider that has ids of its own for organizations. Identity.Tenant becomes the tenant that has the alias.
// The token of an organization that is no tenant's is refused as tokens of unknown tenants are, 404.
func VerifyAlias(v Verifier, aliases Aliases) Verifier {
	return aliasVerifier{v, aliases}
}

type aliasVerifier struct {
	verifier Verifier
	aliases  Aliases
}

func (v aliasVerifier) Verify(ctx context.Context, raw string) (*authn.Identity, error) {
	identity, err := v.verifier.Verify(ctx, raw)
	if err != nil || identity == nil {
		return nil, err
	}
	id, err := resolveAlias(ctx, v.aliases, identity.Tenant)
	if err != nil {
		return nil, err
	}
	resolved := *identity // another request may have the same, from a cache
	resolved.Tenant = id.String()
	return &resolved, nil
}
