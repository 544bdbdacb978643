package middleware

import (
	"context"
	"net/http"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Acquire identifies, authenticates and leases for a request that no [http.Handler] serves: a call of gRPC, a request
// of fiber, the message that opens a WebSocket. r is made of what the protocol has: Host, Header, RemoteAddr, URL and
// path values, as far as the Identifier and Config.Token read them. Its body is not read. r's context governs the wait
// for the lease.
//
// The returned context carries the addressed tenant, the identity and the lease, for [Addressed], [authn.FromContext]
// and [tenancy.FromContext], also with an error, as far as they are known. The caller must release the lease when the
// request or the stream has ended, also after a panic.
//
// Acquire logs a refusal. To answer it, use [GRPCCode] or [StatusCode], or [Middleware.Refuse]; keep the error's text
// from the client.
func (m *Middleware) Acquire(r *http.Request) (context.Context, *tenancy.Lease, error) {
	ctx, id, err := m.admit(r)
	if err != nil {
		m.log(r, err)
		return ctx, nil, err
	}
	lease, err := m.cfg.Resolver.Acquire(r.Context(), id)
	if err != nil {
		err = answer(err)
		m.log(r, err)
		return ctx, nil, err
	}
	return tenancy.NewContext(ctx, lease), lease, nil
}

// Refuse answers a request with the error of Acquire, by Config.ErrorHandler. It does not log it again.
func (m *Middleware) Refuse(w http.ResponseWriter, r *http.Request, err error) {
	m.cfg.ErrorHandler(w, r, err)
}
