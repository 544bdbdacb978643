// Package middleware gives each HTTP request the database of the tenant that it is for.
//
//	identify, err := middleware.FromSubdomain("example.com") // acme.example.com is tenant acme
//	m, err := middleware.New(middleware.Config{
//		Resolver: resolver, // *tenancy.Resolver
//		Verifier: verifier, // *authn.Verifier
//		Identify: identify,
//	})
//	mux.Handle("GET /members", m.Handler(members))
//
// [Middleware.Handler] is three steps, which can be used one by one: [Middleware.Identify] determines which tenant the
// request addresses, [Middleware.Authenticate] verifies its bearer token, and [Middleware.Tenant] leases the tenant's
// pool for as long as the handler runs. The handler finds the lease with [tenancy.MustFromContext] and the identity
// with [authn.FromContext].
//
// # Who decides
//
// The token's tenant decides. What the request addresses only has to agree: if it names another tenant, the request is
// refused with [ErrTenantMismatch]. Where no [Identifier] is configured, or it finds that the request names no tenant,
// the token alone decides. A request without a token is refused, unless [Config.Public] is set.
//
// # What the client learns
//
// These requests get the same response, byte for byte, 404: for an unknown tenant, for a tenant other than the token's,
// for a tenant that is being deleted, and without a proper address of a tenant. Responses are RFC 9457 problems
// that contain no text of an error; the cause goes to [Config.Logger].
//
// # Other middleware
//
// Put CORS outside: a preflight request, OPTIONS, has no token and would be refused, and a browser hides a refusal
// without CORS headers from its page. Put middleware that limits the time of a body or recovers from panics outside
// too.
//
// # Who the client is
//
// [ClientAddr] returns the address of the client behind proxies that you name, to throttle and to log by.
//
// # Routers and frameworks
//
// net/http, chi, gorilla/mux, httprouter and echo v5 take [Middleware.Handler] as it is. The folders ginmw, echomw
// (v4), fibermw (v3), fiberv2mw, grpcmw and connectmw have adapters, each a module of its own; for other servers there
// is [Middleware.Acquire]. docs/frameworks.md shows each of them. [FromPathValue] says where it can be used: on a
// route that it does not fit, the client gets 500, and the log the reason.
//
// Servers on fasthttp reuse the memory of a request's strings: this module copies the strings that it keeps, and your
// handler must do the same.
//
// # The lease ends with the handler
//
// It is released when the handler returns or panics. A goroutine, a hijacked connection or a stream that outlives the
// handler must acquire a lease of its own from the resolver. The [http.ResponseWriter] is never wrapped, so flushing,
// hijacking and [http.ResponseController] work as without the middleware.
//
// The middleware cancels no request when a lease is over: short ones end by themselves before the pool is closed. A
// handler that forwards events should select on the lease as well as on its context. Then it ends within a second after
// its tenant is suspended, where the registry is followed:
//
//	lease := tenancy.MustFromContext(r.Context())
//	for {
//		select {
//		case e := <-events:
//			send(w, e)
//		case <-lease.Done(): // lease.Err() says why
//			return
//		case <-r.Context().Done():
//			return
//		}
//	}
//
// # Where to begin reading
//
// middleware.go has Config; handler.go the path of a request, with identify.go, authenticate.go and tenant.go as its
// steps; subdomain.go, host.go, pathvalue.go and header.go the Identifiers; status.go and problem.go the answers.
package middleware
