package middleware

import (
	"context"
	"net/http"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Handler does for next what Identify, Authenticate (unless the Middleware is public) and Tenant do, in this order. It
// copies the request once, where the three copy it three times.
func (m *Middleware) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, lease, err := m.admit(r)
		if err != nil {
			m.refuse(w, r.WithContext(ctx), err)
			return
		}
		defer lease.Release()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// admit leases the pool of the tenant that r is for. The context that it returns carries what is known of r, also where
// r is refused.
func (m *Middleware) admit(r *http.Request) (context.Context, *tenancy.Lease, error) {
	ctx := r.Context()
	address, err := m.identify(r)
	if err != nil {
		return ctx, nil, err
	}
	ctx = context.WithValue(ctx, addressedKey{}, addressed{address, m})
	if !m.cfg.Public {
		identity, err := m.verify(r)
		if err != nil {
			return ctx, nil, err
		}
		ctx = authn.NewContext(ctx, identity)
	}
	id, err := m.decide(ctx, address)
	if err != nil {
		return ctx, nil, err
	}
	lease, err := m.cfg.Resolver.Acquire(r.Context(), id)
	if err != nil {
		return ctx, nil, answer(err)
	}
	return tenancy.NewContext(ctx, lease), lease, nil
}
