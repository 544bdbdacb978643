package middleware

import "errors"

var (
	// ErrNoTenant is returned by an Identifier when the request names no tenant. The token's tenant then decides; where
	// there is none either, the request is refused with this error.
	ErrNoTenant = errors.New("middleware: request names no tenant")

	// ErrMisaddressed is returned by an Identifier for a request that cannot be read as naming one tenant: a Host that is
	// malformed or not ours, a header given twice.
	ErrMisaddressed = errors.New("middleware: request does not address a tenant properly")

	// ErrTenantMismatch says that the request addresses another tenant than its token is for.
	ErrTenantMismatch = errors.New("middleware: token is for another tenant")

	// ErrBodyTooLarge says that the request's body is larger than Config.BodyFirst.
	ErrBodyTooLarge = errors.New("middleware: body too large")

	// ErrBodyIncomplete says that the request's body could not be read to its end: it is malformed, the client stopped, or
	// it took longer than the server's ReadTimeout.
	ErrBodyIncomplete = errors.New("middleware: incomplete body")

	// ErrUnavailable matches every failure of the resolver or the verifier that is no answer: the directory could not be
	// reached, a pool could not be opened, a key server did not respond.
	ErrUnavailable = errors.New("middleware: unavailable")
)
