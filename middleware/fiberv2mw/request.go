package fiberv2mw

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/pgtenancy/pgtenancy/middleware"
)

// request returns c's request without its body. Its strings are copies, because fiber reuses the memory of its own. A
// repeated header stays repeated, so that m can refuse it; fasthttp's adaptor keeps the last one.
func request(c *fiber.Ctx) (*http.Request, error) {
	in := c.Context()
	target := string(in.RequestURI())
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return nil, err
	}
	r := &http.Request{
		Method: string(in.Method()), URL: u, RequestURI: target, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Body: http.NoBody, Host: string(in.Host()), RemoteAddr: in.RemoteAddr().String(),
		TLS: in.TLSConnectionState(), Pattern: c.Route().Path,
	}
	for name, value := range in.Request.Header.All() {
		r.Header.Add(string(name), string(value))
	}
	for _, name := range c.Route().Params {
		r.SetPathValue(name, strings.Clone(c.Params(name)))
	}
	return r.WithContext(c.UserContext()), nil
}

// refuse lets m answer.
func refuse(c *fiber.Ctx, m *middleware.Middleware, r *http.Request, err error) (answered error) {
	defer func() {
		if v := recover(); v != nil { // http.ErrAbortHandler: the client has gone
			if v != http.ErrAbortHandler { //nolint:errorlint,err113 // it is that value
				panic(v)
			}
			answered = c.SendStatus(http.StatusServiceUnavailable)
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
