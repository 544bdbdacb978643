package fibermw

import (
	"net/http"
	"strings"

	"github.com/gofiber/fiber/v3"
	"github.com/valyala/fasthttp/fasthttpadaptor"

	"github.com/pgtenancy/pgtenancy/middleware"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// keptKey is the key under which the lease of a request is known to Keep.
type keptKey struct{}

// hold is the lease of a request, until a handler takes it over.
type hold struct {
	lease *tenancy.Lease
	kept  bool
}

// New returns a handler that identifies, authenticates and leases, calls the handlers that follow, and releases the lease
// when they have returned or panicked. A refused request is answered by m's ErrorHandler, and the handlers that follow
// are not called. m's BodyFirst has no effect: fasthttp has read the body already, unless StreamRequestBody is set.
func New(m *middleware.Middleware) fiber.Handler {
	return func(c fiber.Ctx) error {
		var r http.Request
		if err := fasthttpadaptor.ConvertRequest(c.RequestCtx(), &r, true); err != nil {
			return fiber.NewError(fiber.StatusBadRequest)
		}
		for _, name := range c.Route().Params {
			r.SetPathValue(name, c.Params(name))
		}
		ctx, lease, err := m.Acquire(r.WithContext(c.Context()))
		if err != nil {
			return refuse(c, m, r.WithContext(ctx), err)
		}
		h := &hold{lease: lease}
		c.Locals(keptKey{}, h)
		defer func() {
			if !h.kept {
				lease.Release()
			}
		}()
		c.SetContext(ctx)
		return c.Next()
	}
}

// Keep takes over the lease of c's request, for a stream that goes on after the handler has returned: the caller must
// release it. It returns nil if there is none, or if it was taken over before.
func Keep(c fiber.Ctx) *tenancy.Lease {
	h, ok := c.Locals(keptKey{}).(*hold)
	if !ok || h.kept {
		return nil
	}
	h.kept = true
	return h.lease
}

// refuse lets m answer. m may keep nothing of r, whose strings fiber reuses.
func refuse(c fiber.Ctx, m *middleware.Middleware, r *http.Request, err error) (answered error) {
	defer func() {
		if v := recover(); v != nil { // http.ErrAbortHandler: the client has gone
			if v != http.ErrAbortHandler { //nolint:errorlint,err113 // it is that value
				panic(v)
			}
			answered = c.SendStatus(middleware.StatusClientGone)
		}
	}()
	w := &response{header: http.Header{}, status: http.StatusOK}
	m.Refuse(w, r, err)
	for name, values := range w.header {
		for _, value := range values {
			c.Response().Header.Add(name, value)
		}
	}
	return c.Status(w.status).SendString(w.body.String())
}

// response is what an ErrorHandler writes.
type response struct {
	header http.Header
	status int
	body   strings.Builder
}

func (w *response) Header() http.Header { return w.header }

func (w *response) WriteHeader(status int) { w.status = status }

func (w *response) Write(b []byte) (int, error) { return w.body.Write(b) }
