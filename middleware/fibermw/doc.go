// Package fibermw puts package middleware into a router of fiber/v3.
//
//	app.Use(fibermw.New(m)) // or a route's own handler, where FromPathValue is to find ":tenant"
//	app.Get("/members", func(c fiber.Ctx) error {
//		lease := tenancy.MustFromContext(c.Context())
//		…
//	})
//
// fiber reuses the memory of a request's strings for the next request. What the middleware and the resolver keep, they
// copy; do the same with what your handlers keep. fiber's own adaptor for net/http middlewares runs the handlers after
// the middleware has returned, when the lease is released: use this package instead.
//
// A handler that streams returns before its stream is written. The lease is then held until the stream has been sent. A
// function that writes the stream and may outlive its client, with a query say, takes the lease over with [Keep].
//
// fibermw.go has the handler; request.go what the middleware sees of fiber's request.
package fibermw
