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
// [Middleware.Handler] is three steps, which can be used one by one: [Middleware.Identify] finds out which tenant the
// request addresses, [Middleware.Authenticate] verifies its bearer token, and [Middleware.Tenant] leases the tenant's
// pool for as long as the handler runs. The handler finds the lease with [tenancy.MustFromContext] and the identity
// with [authn.FromContext].
//
// # Who decides
//
// The token's tenant decides. What the request addresses only has to agree: if it names another tenant, the request is
// refused with [ErrTenantMismatch]. Where no [Identifier] is configured, or it finds that the request names no tenant,
// the token alone decides. A request without a token is refused, unless [Config.Public] says that what the tenant
// serves is for everyone.
//
// # What the client learns
//
// An unknown tenant, somebody else's, one that is being deleted and a request that addresses no tenant properly get the
// same answer, byte for byte: 404. Answers are RFC 9457 problems that hold no text of any error; the cause goes to
// [Config.Logger].
//
// # Other middleware
//
// CORS goes outside: a preflight request, OPTIONS, has no token and would be refused. A limit of the body's time and
// what recovers from panics go outside too.
//
// # Who the client is
//
// [ClientAddr] returns the address of the client behind proxies that you name, to throttle and to log by.
//
// # Frameworks on fasthttp, and gin
//
// Fiber's adaptor.HTTPMiddleware and fasthttp's fasthttpadaptor run a Middleware, but what it puts into the request's
// context, a handler of fiber finds in c.Context() and not in c.UserContext(). It is plainer to call [tenancy.ParseID]
// and [tenancy.Resolver.Acquire] in a handler of your own. Strings of such a request are good until the handler
// returns: what this module keeps of them it copies, and so must your handler. With gin, look for the lease in
// c.Request.Context(), or set Engine.ContextWithFallback.
//
// # The lease ends with the handler
//
// It is released when the handler returns or panics. A goroutine, a hijacked connection or a stream that outlives the
// handler must acquire a lease of its own from the resolver. The [http.ResponseWriter] is never wrapped, so flushing,
// hijacking and [http.ResponseController] work as without the middleware.
//
// A stream within the handler goes on until the handler returns: the middleware cancels no request, since short ones
// end by themselves before the pool is closed. One that forwards events listens to the lease as to its context, and so
// ends within a second after its tenant is suspended where the registry is followed:
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
package middleware
