package fibermw

import (
	"github.com/gofiber/fiber/v3"

	"github.com/pgtenancy/pgtenancy/middleware"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// holdKey is the key of a request's hold.
type holdKey struct{}

// hold is the lease of a request, until a handler takes it over.
type hold struct {
	lease *tenancy.Lease
	kept  bool
}

// Close releases the lease. fasthttp calls it when the response has been sent or cannot be sent.
func (h *hold) Close() error {
	if !h.kept {
		h.lease.Release()
	}
	return nil
}

// New returns a handler that identifies, authenticates and leases, calls the handlers that follow, and releases the
// lease when they have returned or panicked; if they have set a stream as the body, when it has been sent. A refused
// request is answered by m's ErrorHandler, and the handlers that follow are not called. m's Identifier finds no body,
// and BodyFirst has no effect: fasthttp has read the body already, unless StreamRequestBody is set.
func New(m *middleware.Middleware) fiber.Handler {
	return func(c fiber.Ctx) error {
		r, err := request(c)
		if err != nil {
			return fiber.NewError(fiber.StatusBadRequest)
		}
		ctx, lease, err := m.Acquire(r)
		if err != nil {
			return refuse(c, m, r.WithContext(ctx), err)
		}
		h := &hold{lease: lease}
		c.Locals(holdKey{}, h)
		defer func() {
			if !c.Response().IsBodyStream() {
				_ = h.Close()
			}
		}()
		c.SetContext(ctx)
		return c.Next()
	}
}

// Keep takes over the lease of c's request, for work that goes on after the response: the caller must release it, in a
// defer. A function that writes a stream needs it, because such a function may still run a query when its client has
// gone. It returns nil if there is no lease, or if it was taken over before.
func Keep(c fiber.Ctx) *tenancy.Lease {
	h, ok := c.Locals(holdKey{}).(*hold)
	if !ok || h.kept {
		return nil
	}
	h.kept = true
	return h.lease
}
