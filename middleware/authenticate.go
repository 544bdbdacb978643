package middleware

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Authenticate verifies the request's token and puts its identity into the context, for [authn.FromContext]. It refuses
// the request if there is no token, if the token is not valid, or if the request addresses another tenant than the
// token's. It does not look the tenant up: use it alone for what a suspended tenant may still do, such as paying. A
// public Middleware refuses every request here.
func (m *Middleware) Authenticate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, err := m.verify(r)
		if err != nil {
			m.refuse(w, r, err)
			return
		}
		r = r.WithContext(authn.NewContext(r.Context(), id))
		if _, err := m.tenant(r); err != nil {
			m.refuse(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (m *Middleware) verify(r *http.Request) (*authn.Identity, error) {
	raw, err := m.token(r)
	if err != nil {
		return nil, err
	}
	id, err := m.cfg.Verifier.Verify(r.Context(), raw)
	if err != nil {
		return nil, answer(err)
	}
	if id == nil {
		return nil, authn.ErrTokenInvalid
	}
	return id, nil
}

func (m *Middleware) token(r *http.Request) (string, error) {
	switch {
	case m.cfg.Public:
		return "", authn.ErrTokenMissing
	case m.cfg.Token == nil:
		return bearer(r.Header)
	}
	raw := m.cfg.Token(r)
	if raw == "" {
		return "", authn.ErrTokenMissing
	}
	return raw, nil
}

// bearer returns the token of an Authorization header (RFC 6750 section 2.1). A header with another scheme counts as no
// token. Two headers are refused, because a proxy may have checked the other one.
func bearer(h http.Header) (string, error) {
	values := h.Values("Authorization")
	if len(values) == 0 {
		return "", authn.ErrTokenMissing
	}
	if len(values) > 1 {
		return "", authn.ErrTokenInvalid
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	token = strings.TrimLeft(token, " ")
	switch {
	case !strings.EqualFold(scheme, "Bearer") || token == "":
		return "", authn.ErrTokenMissing
	case strings.ContainsAny(token, " \t,"):
		return "", authn.ErrTokenInvalid
	}
	return token, nil
}

// tenant returns the tenant that r is for.
func (m *Middleware) tenant(r *http.Request) (tenancy.ID, error) {
	address, err := m.address(r)
	if err != nil {
		return "", err
	}
	return m.decide(r.Context(), address)
}

// decide returns the tenant of the identity in ctx, with which the address of the request must agree. Without an
// identity it is the addressed tenant, if m is public.
func (m *Middleware) decide(ctx context.Context, address tenancy.ID) (tenancy.ID, error) {
	identity, ok := authn.FromContext(ctx)
	switch {
	case !ok && !m.cfg.Public:
		return "", authn.ErrTokenMissing
	case !ok && address == "":
		return "", ErrNoTenant
	case !ok:
		return address, nil
	}
	id, err := m.tokenTenant(ctx, identity)
	if err != nil {
		return "", err
	}
	if address != "" && address != id {
		return "", fmt.Errorf("%w: token for %q, request for %q", ErrTenantMismatch, id, address)
	}
	return id, nil
}

// tokenTenant returns the tenant of a token.
func (m *Middleware) tokenTenant(ctx context.Context, identity *authn.Identity) (tenancy.ID, error) {
	if m.cfg.TokenAliases != nil {
		id, err := m.cfg.TokenAliases.ResolveAlias(ctx, identity.Tenant)
		switch {
		case errors.Is(err, tenancy.ErrNotFound):
			return "", fmt.Errorf("%w: its tenant: %w", authn.ErrTokenInvalid, err)
		case err != nil:
			return "", answer(err)
		}
		return id, nil
	}
	id := tenancy.ID(identity.Tenant) // without ParseID's copy: the resolver makes one if it keeps it
	if !id.Valid() {
		return "", fmt.Errorf("%w: its tenant: %w", authn.ErrTokenInvalid, tenancy.ErrInvalidID)
	}
	return id, nil
}
