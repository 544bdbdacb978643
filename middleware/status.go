package middleware

import (
	"context"
	"errors"
	"net/http"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// StatusClientGone is the StatusCode of context.Canceled. It is not an HTTP status: it is meant for logs and metrics,
// and is never sent.
const StatusClientGone = 499

// StatusCode returns the HTTP status for err; GRPCCode returns the code beside it:
//
//	400  INVALID_ARGUMENT    a body that is incomplete
//	401  UNAUTHENTICATED     a token that is missing, expired or invalid; a wrong password or code, an ended session
//	403  PERMISSION_DENIED   a suspended tenant, an admin who may not manage others, an e-mail that is not verified
//	404  NOT_FOUND           no tenant, an unknown one, a tenant other than the token's, a tenant being deleted, a
//	                         failed sign-up
//	409  ABORTED             an e-mail or id that is taken, a password or row that was changed meanwhile, a
//	                         tenant to be chosen
//	413  INVALID_ARGUMENT    a body larger than Config.BodyFirst
//	422  INVALID_ARGUMENT    a password that the rules do not allow, other wrong input, an idempotency key of another
//	                         request
//	429  RESOURCE_EXHAUSTED  too many attempts
//	499  CANCELED            context.Canceled: the client has gone
//	503  UNAVAILABLE         a tenant that is being provisioned or moved, no capacity, a closed resolver, an evicted
//	                         pool, a fenced database, a server that is down, context.DeadlineExceeded, ErrUnavailable,
//	                         authn.ErrBusy, a registry that does not answer or has no server with room, a sign-up that
//	                         failed
//	500  INTERNAL            anything else
//	200  OK                  nil
//
// If err has a method HTTPStatus() int, its result takes precedence. Errors of packages registry, provision and
// accounts have it, and yours may.
func StatusCode(err error) int {
	var own interface{ HTTPStatus() int }
	switch {
	case err == nil:
		return http.StatusOK
	case errors.As(err, &own):
		return own.HTTPStatus()
	case is(err, ErrMiswired): // it may match ErrNoTenant too
		return http.StatusInternalServerError
	case is(err, authn.ErrTokenMissing, authn.ErrTokenExpired, authn.ErrTokenInvalid):
		return http.StatusUnauthorized
	case is(err, ErrNoTenant, ErrMisaddressed, ErrTenantMismatch,
		tenancy.ErrInvalidID, tenancy.ErrNotFound, tenancy.ErrDeleting, tenancy.ErrFailing):
		return http.StatusNotFound
	case is(err, ErrBodyTooLarge):
		return http.StatusRequestEntityTooLarge
	case is(err, ErrBodyIncomplete):
		return http.StatusBadRequest
	case is(err, tenancy.ErrSuspended):
		return http.StatusForbidden
	case is(err, tenancy.ErrNotActive, tenancy.ErrProvisioning, tenancy.ErrMoving, tenancy.ErrAtCapacity,
		tenancy.ErrClosed, tenancy.ErrEvicted, tenancy.ErrFenced, tenancy.ErrServerDown, authn.ErrBusy,
		ErrUnavailable, context.DeadlineExceeded):
		return http.StatusServiceUnavailable
	case is(err, context.Canceled):
		return StatusClientGone
	}
	return http.StatusInternalServerError
}

// GRPCCode returns the gRPC code for err, as StatusCode lists them: a codes.Code of google.golang.org/grpc, or a Code
// of connectrpc.com/connect, which has the same numbers. It depends on the StatusCode of err alone.
func GRPCCode(err error) uint32 {
	switch StatusCode(err) {
	case http.StatusOK:
		return 0 // OK
	case StatusClientGone:
		return 1 // CANCELED
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return 3 // INVALID_ARGUMENT
	case http.StatusNotFound:
		return 5 // NOT_FOUND
	case http.StatusForbidden:
		return 7 // PERMISSION_DENIED
	case http.StatusTooManyRequests:
		return 8 // RESOURCE_EXHAUSTED
	case http.StatusConflict:
		return 10 // ABORTED
	case http.StatusServiceUnavailable:
		return 14 // UNAVAILABLE
	case http.StatusUnauthorized:
		return 16 // UNAUTHENTICATED
	}
	return 13 // INTERNAL
}

func is(err error, targets ...error) bool {
	for _, target := range targets {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}
