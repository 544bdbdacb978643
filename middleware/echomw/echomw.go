package echomw

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/pgtenancy/pgtenancy/middleware"
)

// New returns a middleware that does what m's Handler does: it identifies, authenticates and leases, calls next, and
// releases the lease when next has returned or panicked. A refused request is answered by m, and next is not called.
// The error of next is answered by echo's HTTPErrorHandler while the lease is held.
func New(m *middleware.Middleware) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) (err error) {
			asked := c.Request()
			asked.Pattern = c.Path()
			for i, name := range c.ParamNames() {
				asked.SetPathValue(name, c.ParamValues()[i])
			}
			defer c.SetRequest(asked)
			m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				c.SetRequest(r)
				err = next(c)
				if err != nil {
					c.Error(err) // while the lease is held: an error handler may query
					err = nil
				}
			})).ServeHTTP(c.Response(), asked)
			return err
		}
	}
}
