package ginmw

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/pgtenancy/pgtenancy/middleware"
)

// New returns a handler that does what m's Handler does: it identifies, authenticates and leases, calls the handlers
// that follow, and releases the lease when they have returned or panicked. A refused request is answered by m, and the
// handlers that follow are not called. Handlers outside see the request without the lease again.
func New(m *middleware.Middleware) gin.HandlerFunc {
	return func(c *gin.Context) {
		asked := c.Request
		asked.Pattern = c.FullPath()
		for _, p := range c.Params {
			asked.SetPathValue(p.Key, p.Value)
		}
		admitted := false
		defer func() {
			c.Request = asked
			if admitted {
				return
			}
			if !c.Writer.Written() { // the client has gone, and gin.Recovery would answer 200
				c.Status(http.StatusServiceUnavailable)
			}
			c.Abort()
		}()
		next := func(_ http.ResponseWriter, r *http.Request) {
			admitted = true
			c.Request = r
			c.Next()
		}
		m.Handler(http.HandlerFunc(next)).ServeHTTP(c.Writer, asked)
	}
}
