package middleware

import (
	"context"
	"net/http"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Handler wraps next in Identify, Authenticate (unless the Middleware is public) and Tenant, in this order. It copies
// the request once; the three together copy it three times.
func (m *Middleware) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, id, err := m.admit(r)
		if err != nil {
			m.refuse(w, r.WithContext(ctx), err)
			return
		}
		full, err := m.readBody(w, r)
		if err != nil {
			m.refuse(w, r.WithContext(ctx), err)
			return
		}
		lease, err := m.cfg.Resolver.Acquire(r.Context(), id)
		if err != nil {
			m.refuse(w, r.WithContext(ctx), answer(err))
			return
		}
		defer lease.Release()
		next.ServeHTTP(w, full.WithContext(tenancy.NewContext(ctx, lease)))
	})
}

// admit returns the tenant that r is for. The returned context carries the addressed tenant and the identity, as far as
// they are known, even with an error.
func (m *Middleware) admit(r *http.Request) (context.Context, tenancy.ID, error) {
	ctx := r.Context()
	address, err := m.identify(r)
	if err != nil {
		return ctx, "", err
	}
	ctx = context.WithValue(ctx, addressedKey{}, addressed{address, m})
	if !m.cfg.Public {
		identity, err := m.verify(r)
		if err != nil {
			return ctx, "", err
		}
		ctx = authn.NewContext(ctx, identity)
	}
	id, err := m.decide(ctx, address)
	return ctx, id, err
}
