// Package ginmw puts package middleware into a gin router.
//
//	router.Use(ginmw.New(m)) // or a group's Use
//	router.GET("/members", func(c *gin.Context) {
//		lease := tenancy.MustFromContext(c.Request.Context())
//		…
//	})
//
// The lease and the identity are in the context of c.Request. The wildcards of the route are path values of the
// request, so that [middleware.FromPathValue] finds ":tenant" by the name "tenant".
package ginmw
