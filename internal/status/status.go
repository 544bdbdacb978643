// Package status makes errors that know what they are in HTTP, as package middleware asks them.
package status

import "maps"

// Statuses of HTTP, for packages that know nothing else of it.
const (
	Unauthorized    = 401
	Forbidden       = 403
	NotFound        = 404
	Conflict        = 409
	Unprocessable   = 422
	TooManyRequests = 429
	ClientGone      = 499 // middleware.StatusClientGone; never sent
	Internal        = 500
	Unavailable     = 503
)

// Error is a sentinel that knows its status.
type Error struct {
	text, detail string
	code         int
	fields       map[string]string
}

// New returns a sentinel with this text. detail is for the client, and may be empty: it must be true of every error
// that matches the sentinel.
func New(code int, text, detail string) *Error { return &Error{text: text, code: code, detail: detail} }

// Field returns a sentinel that describes the fault of one field of the input.
func Field(text, field, problem string) *Error {
	return &Error{text: text, code: Unprocessable, fields: map[string]string{field: problem}}
}

// Error returns the text.
func (e *Error) Error() string { return e.text }

// HTTPStatus is for middleware.StatusCode.
func (e *Error) HTTPStatus() int { return e.code }

// ProblemDetail is for middleware.WriteProblem.
func (e *Error) ProblemDetail() string { return e.detail }

// InvalidFields is for middleware.WriteProblem.
func (e *Error) InvalidFields() map[string]string { return maps.Clone(e.fields) }
