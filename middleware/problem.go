package middleware

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Problem is an RFC 9457 problem.
type Problem struct {
	Type   string            `json:"type,omitempty"` // a URI; empty means that title and status say it all
	Title  string            `json:"title"`
	Status int               `json:"status"`
	Detail string            `json:"detail,omitempty"` // for people; never the text of an error
	Fields map[string]string `json:"fields,omitempty"` // the fault of each field of the input
}

// Write writes p as application/problem+json with p's status, not to be cached.
func (p Problem) Write(w http.ResponseWriter) {
	body, err := json.Marshal(p)
	if err != nil { // strings and an int always marshal
		panic(err)
	}
	h := w.Header()
	for _, name := range []string{"Content-Length", "Content-Encoding", "Etag", "Last-Modified"} {
		h.Del(name) // meant for another body, as in http.Error
	}
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(p.Status)
	_, _ = w.Write(body) // the client may have gone
}

// WriteProblem answers r with a problem of err's [StatusCode]. It writes no text of err, which belongs into a log. A
// 401 has a WWW-Authenticate header (RFC 6750 section 3). A 429 or 503 has a Retry-After header: the result of err's
// method RetryAfter() time.Duration, or a second, plus up to a half of it or two seconds, whichever is more, at random,
// so that clients do not all come back at once. If err has a method InvalidFields() map[string]string, the problem
// lists these fields; if it has a method ProblemDetail() string, that is the detail. The client reads both.
//
// If the client has gone, it writes nothing, and panics with [http.ErrAbortHandler], so that net/http sends nothing
// either. If WriteProblem returned, net/http would answer 200; and if the server's own shutdown has canceled the
// request, the client would take that for success.
func WriteProblem(w http.ResponseWriter, r *http.Request, err error) {
	if gone(r, err) {
		panic(http.ErrAbortHandler)
	}
	p := Problem{Status: StatusCode(err), Detail: detail(err), Fields: fields(err)}
	p.Title = http.StatusText(p.Status)
	switch p.Status {
	case StatusClientGone: // something was canceled, but not the request
		p.Status, p.Title = http.StatusServiceUnavailable, http.StatusText(http.StatusServiceUnavailable)
		fallthrough
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter(err)))
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", challenge(err))
	}
	p.Write(w)
}

// gone reports whether err is only the consequence of r's client having gone.
func gone(r *http.Request, err error) bool {
	return errors.Is(err, context.Canceled) && errors.Is(r.Context().Err(), context.Canceled)
}

func challenge(err error) string {
	if is(err, authn.ErrTokenExpired, authn.ErrTokenInvalid) {
		return `Bearer error="invalid_token"`
	}
	return "Bearer" // also after a wrong password: a 401 must have a challenge (RFC 9110 section 15.5.2)
}

// retryAfter returns whole seconds.
func retryAfter(err error) int {
	after := time.Second
	var own interface{ RetryAfter() time.Duration }
	if errors.As(err, &own) {
		after = max(own.RetryAfter(), time.Second)
	}
	after += rand.N(max(after/2, 2*time.Second)) //nolint:gosec // nothing is won by guessing it
	return int((after + time.Second - 1) / time.Second)
}

// detail returns a text for the client. A client learns these states only with a token for the tenant; with
// Config.Public any client does, as it learns that an active tenant exists.
func detail(err error) string {
	switch {
	case errors.Is(err, tenancy.ErrSuspended):
		return "This account is suspended."
	case errors.Is(err, tenancy.ErrProvisioning):
		return "This account is being set up."
	case errors.Is(err, tenancy.ErrMoving):
		return "This account is being moved and will be back in a moment."
	}
	var own interface{ ProblemDetail() string }
	if errors.As(err, &own) {
		return own.ProblemDetail()
	}
	return ""
}

func fields(err error) map[string]string {
	var own interface{ InvalidFields() map[string]string }
	if errors.As(err, &own) {
		return own.InvalidFields()
	}
	return nil
}
