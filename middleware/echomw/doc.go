// Package echomw puts package middleware into an echo router.
//
//	e.Use(echomw.New(m)) // or a group's Use
//	e.GET("/members", func(c echo.Context) error {
//		lease := tenancy.MustFromContext(c.Request().Context())
//		…
//	})
//
// The lease and the identity are in the context of c.Request(). The wildcards of the route are path values of the
// request, so that [middleware.FromPathValue] finds ":tenant" by the name "tenant"; not in e.Pre, which runs before the
// route is known.
package echomw
