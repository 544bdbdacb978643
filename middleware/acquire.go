package middleware

import (
	"context"
	"net/http"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Acquire does what Handler does before it calls the next handler, for servers that have none: gRPC, fasthttp. It
// identifies r, verifies its token and leases the tenant's pool. r needs only what Identify and Token read: Host,
// Header, RemoteAddr, URL. Acquire does not read the body, so that BodyFirst has no effect.
//
// r's context governs the wait. The returned context carries the lease, for [tenancy.FromContext], and the identity.
// The caller must release the lease when the request is over, also after a panic. The error is one for [StatusCode]
// and [Middleware.Refuse].
func (m *Middleware) Acquire(r *http.Request) (context.Context, *tenancy.Lease, error) {
	ctx, id, err := m.admit(r)
	if err != nil {
		return ctx, nil, err
	}
	lease, err := m.cfg.Resolver.Acquire(r.Context(), id)
	if err != nil {
		return ctx, nil, answer(err)
	}
	return tenancy.NewContext(ctx, lease), lease, nil
}

// Refuse answers r, for which Acquire returned err, as Handler does: it logs to Config.Logger and calls
// Config.ErrorHandler.
func (m *Middleware) Refuse(w http.ResponseWriter, r *http.Request, err error) { m.refuse(w, r, err) }

// Refused logs to Config.Logger that r was refused with err, for servers that answer in another protocol than HTTP.
func (m *Middleware) Refused(r *http.Request, err error) { m.logRefusal(r, err) }
