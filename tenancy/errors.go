package tenancy

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
)

var (
	// ErrInvalidID is returned for an ID that is not in the canonical spelling.
	ErrInvalidID = errors.New("tenancy: invalid tenant id")

	// ErrNotFound is returned when the directory knows no such tenant.
	ErrNotFound = errors.New("tenancy: tenant not found")

	// ErrAtCapacity is returned by Acquire when every pool is leased and none became free within CapacityWait. It is
	// returned by a query that needs a connection while its server has MaxConns or its tenant MaxConnsPerTenant, if
	// none became free within BudgetWait.
	ErrAtCapacity = errors.New("tenancy: at capacity")

	// ErrServerDown is returned, without a dial, by a query that needs a new connection to a server whose breaker is
	// open. Attempts to reach the server are at most two seconds apart.
	ErrServerDown = errors.New("tenancy: server down")

	// ErrFenced is returned by a query, with Config.Fence, whose new connection reached a database that belongs to
	// another tenant, is fenced, or has a newer epoch than the tenant's record. The query did not run. The next Acquire
	// asks the directory again.
	ErrFenced = errors.New("tenancy: fenced")

	// ErrReleased is returned by a query, with Config.Strict, on a pool that nobody has a lease on.
	ErrReleased = errors.New("tenancy: pool used after Release")

	// ErrClosed is returned by a resolver after Close.
	ErrClosed = errors.New("tenancy: resolver closed")

	// ErrEvicted is returned by [Lease.Err] if the pool was evicted: because the tenant's database has moved, because
	// the directory did not answer after a change, or by Evict. The holder may acquire another lease.
	ErrEvicted = errors.New("tenancy: pool evicted")

	// ErrNotActive matches every [StateError]. Use errors.As with *StateError to learn the state, or match one of the
	// five below.
	ErrNotActive = errors.New("tenancy: tenant not active")

	// ErrProvisioning is returned while the tenant's database is being created. Retry soon.
	ErrProvisioning = errors.New("tenancy: tenant is being provisioned")

	// ErrSuspended is returned while the tenant is suspended.
	ErrSuspended = errors.New("tenancy: tenant suspended")

	// ErrMoving is returned while the tenant moves to another server. Retry soon.
	ErrMoving = errors.New("tenancy: tenant is moving")

	// ErrDeleting is returned while the tenant is being deleted.
	ErrDeleting = errors.New("tenancy: tenant is being deleted")

	// ErrFailing is returned while a failed sign-up is being undone.
	ErrFailing = errors.New("tenancy: tenant's sign-up failed")
)

// StateError says that a tenant exists but its state allows no queries. It matches [ErrNotActive] and the sentinel of
// its state.
type StateError struct {
	ID    ID
	State State
}

// Error names the tenant and its state.
func (e *StateError) Error() string {
	if e.State == "" {
		return fmt.Sprintf("tenancy: tenant %q has no state", string(e.ID))
	}
	return fmt.Sprintf("tenancy: tenant %q is %s", string(e.ID), string(e.State))
}

// Is reports whether target is ErrNotActive or the sentinel of e's state.
func (e *StateError) Is(target error) bool {
	switch target {
	case ErrNotActive:
		return true
	case ErrProvisioning:
		return e.State == Provisioning
	case ErrSuspended:
		return e.State == Suspended
	case ErrMoving:
		return e.State == Moving
	case ErrDeleting:
		return e.State == Deleting
	case ErrFailing:
		return e.State == Failing
	}
	return false
}

// PanicError is returned by Acquire if the [Directory] panicked. The process goes on.
type PanicError struct {
	Value any    `json:"-"` // what it panicked with
	Stack []byte `json:"-"` // where
}

// Error names the type of the panic's value. It does not print the value, which may hold anything.
func (e *PanicError) Error() string {
	return fmt.Sprintf("the directory panicked with a value of type %T", e.Value)
}

// Format implements [fmt.Formatter]: it prints what Error returns, under every verb.
func (e PanicError) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, e.Error()) }

// LogValue implements [slog.LogValuer].
func (e PanicError) LogValue() slog.Value { return slog.StringValue(e.Error()) }

func invalidIDError(s string) error {
	return fmt.Errorf("%w: %q", ErrInvalidID, truncate(s, MaxIDLength))
}

func evictedError(id ID) error {
	return fmt.Errorf("%w: tenant %q", ErrEvicted, string(id))
}

func notFoundError(id ID) error {
	return fmt.Errorf("%w: %q", ErrNotFound, string(id))
}
