package middleware

import "errors"

var (
	// ErrNoTenant is returned by an Identifier when the request names no tenant. Then the token's tenant decides;
	// without a token, the request is refused with this error.
	ErrNoTenant = errors.New("middleware: request names no tenant")

	// ErrMisaddressed is returned by an Identifier for a request that does not clearly name one tenant: its Host is
	// malformed or not under the base domain, or it has a header twice.
	ErrMisaddressed = errors.New("middleware: request does not address a tenant properly")

	// ErrTenantMismatch says that the request addresses a tenant other than its token's.
	ErrTenantMismatch = errors.New("middleware: token is for another tenant")

	// ErrMiswired says that the Identifier can never determine a tenant on the route that the request came by, whatever
	// the client sends: FromPathValue, where the route has no such wildcard or the router has not chosen it yet. The
	// client gets 500, and Config.Logger the reason.
	ErrMiswired = errors.New("middleware: identifier does not fit the route")

	// ErrBodyTooLarge says that the request's body is larger than Config.BodyFirst.
	ErrBodyTooLarge = errors.New("middleware: body too large")

	// ErrBodyIncomplete says that the request's body could not be read to its end: it is malformed, the client stopped,
	// or it took longer than the server's ReadTimeout.
	ErrBodyIncomplete = errors.New("middleware: incomplete body")

	// ErrUnavailable matches every failure of the resolver or the verifier that says nothing about the request: the
	// directory could not be reached, a pool could not be opened, a key server did not respond.
	ErrUnavailable = errors.New("middleware: unavailable")
)
