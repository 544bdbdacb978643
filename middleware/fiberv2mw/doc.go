// Package fiberv2mw puts package middleware into a router of fiber/v2.
//
//	app.Use(fiberv2mw.New(m)) // or a route's own handler, where FromPathValue is to find ":tenant"
//	app.Get("/members", func(c *fiber.Ctx) error {
//		lease := tenancy.MustFromContext(c.UserContext())
//		…
//	})
//
// fiber reuses the memory of a request's strings for the next request. What the middleware and the resolver keep, they
// copy; do the same with what your handlers keep. fiber's own adaptor for net/http middlewares runs the handlers after the
// middleware has returned, when the lease is released: use this package instead.
//
// A handler that streams returns before its stream is written. Take the lease over with [Keep], and release it where the
// stream ends.
package fiberv2mw
