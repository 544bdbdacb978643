package middleware

import (
	"fmt"
	"net/http"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Tenant leases the pool of the request's tenant, puts the lease into the context, for [tenancy.FromContext], and
// releases it when next returns or panics. The tenant is the one of the identity that Authenticate put there; a request
// without one is refused, unless the Middleware is public. The request's context governs the wait for the lease.
//
// A slow client prolongs the lease: with a body that the handler reads, unless [Config.BodyFirst] is set, and with a
// response that it reads slowly. A handler with long responses may call Release of its lease itself before it writes.
//
// The handler must close or release connections, rows and transactions before it returns, and must not use the pool
// afterwards.
func (m *Middleware) Tenant(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked := r
		id, err := m.tenant(r)
		if err != nil {
			m.refuse(w, r, err)
			return
		}
		if r, err = m.readBody(w, r); err != nil {
			m.refuse(w, asked, err)
			return
		}
		lease, err := m.cfg.Resolver.Acquire(r.Context(), id)
		if err != nil {
			m.refuse(w, r, answer(err))
			return
		}
		defer lease.Release()
		next.ServeHTTP(w, r.WithContext(tenancy.NewContext(r.Context(), lease)))
	})
}

// answer returns err if it says something about the request. Otherwise it returns an error that also matches
// ErrUnavailable: that a resolver or verifier has no answer is not a programming error, and the client may try again.
func answer(err error) error {
	if StatusCode(err) != http.StatusInternalServerError {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}
