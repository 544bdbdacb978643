package echomw

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/pgtenancy/pgtenancy/middleware"
)

// New returns a middleware that does what m's Handler does: it identifies, authenticates and leases, calls next, and
// releases the lease when next has returned or panicked. A refused request is answered by m, and next is not called. The
// error of next is echo's to answer.
func New(m *middleware.Middleware) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) (err error) {
			for i, name := range c.ParamNames() {
				c.Request().SetPathValue(name, c.ParamValues()[i])
			}
			m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				c.SetRequest(r)
				err = next(c)
				if err != nil {
					c.Error(err) // while the lease is held: an error handler may query
					err = nil
				}
			})).ServeHTTP(c.Response(), c.Request())
			return err
		}
	}
}
