package provision

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"strings"

	"github.com/pgtenancy/pgtenancy/internal/pgadmin"
	"github.com/pgtenancy/pgtenancy/internal/status"
)

// ErrFailedBefore knows its status in HTTP: see middleware.StatusCode. The others are for operators.
var (
	// ErrFailedBefore is returned by Create when the sign-up under this idempotency key has failed, or this one in the
	// hands of another process. It is final: the same key is answered with it for a day; to try again, take a new one.
	ErrFailedBefore error = status.New(status.Conflict,
		"provision: the sign-up has failed: send it again under another idempotency key",
		"The sign-up has failed. Send it again as a new one, under another Idempotency-Key.")

	// ErrNotOurs is returned when a database or role that would have to be changed is, by its owner and its comment,
	// not this tenant's. It is left alone.
	ErrNotOurs = errors.New("provision: a database or role of that name exists and is not this tenant's")

	// ErrSharedRole is returned by RotatePassword for a tenant that uses Config.SharedRole: change that role's password
	// yourself, and with it what the resolvers' Base has.
	ErrSharedRole = errors.New("provision: the tenant has no role of its own")

	// ErrPublicSchema is returned where tenants could create objects in schema public, which upgrades would then meet, and
	// the administrator may not take that right from them: before PostgreSQL 15, only a superuser can.
	// docs/operations.md says what to do.
	ErrPublicSchema error = pgadmin.ErrPublicSchema

	// ErrTenantObjects is returned by Upgrade when the tenant's role owns objects in its database, which the upgrade could
	// call as the administrator. The error names some. Drop them, or give them to another role.
	ErrTenantObjects = errors.New("provision: the tenant's role has made objects in its database")

	// ErrNotVerified is returned by Upgrade when the Schema came to its end without calling Verify: the database may
	// have the schema, but is not stamped.
	ErrNotVerified = errors.New("provision: schema was not verified")

	// ErrSideEffectUnknown is returned when a side effect must be undone that Config.SideEffects does not have.
	ErrSideEffectUnknown = errors.New("provision: side effect is not configured")
)

// DestructiveError says that an upgrade was refused because it would destroy what Policy.Allow does not name.
type DestructiveError struct {
	Changes []Change // the refused ones
}

// Error names the changes.
func (e *DestructiveError) Error() string {
	names := make([]string, len(e.Changes))
	for i, c := range e.Changes {
		names[i] = c.Name
	}
	return "provision: destructive changes are not allowed: " + strings.Join(names, ", ")
}

// SchemaMismatchError says that a database does not have the schema after its upgrade. The changes were rolled back,
// unless the Schema works outside a transaction.
type SchemaMismatchError struct {
	// Diff is that of [fingerprint.Fingerprint.Diff]: "- " leads a line of the tenant's database only, "+ " one of the
	// schema only.
	Diff []string
}

// Error names the first objects that differ.
func (e *SchemaMismatchError) Error() string {
	const most = 5
	if len(e.Diff) <= most {
		return "provision: schema differs: " + strings.Join(e.Diff, "; ")
	}
	return fmt.Sprintf("provision: schema differs: %s; and %d more",
		strings.Join(e.Diff[:most], "; "), len(e.Diff)-most)
}

// AdoptError says why a database or role cannot be adopted. Nothing was changed. Its HTTP status is 409.
type AdoptError struct {
	Reason string // holds no secret
}

// Error names the reason.
func (e *AdoptError) Error() string { return "provision: cannot be adopted: " + e.Reason }

// HTTPStatus returns 409.
func (*AdoptError) HTTPStatus() int { return status.Conflict }

// PanicError is what a panic in the caller's Seed, Do, Undo or Place, or in the Schema, becomes: the process goes on,
// and the sign-up fails like any other.
type PanicError struct {
	Value any    `json:"-"` // what was passed to panic
	Stack []byte `json:"-"` // of the goroutine that panicked
}

// Error does not print Value, which may hold anything.
func (e *PanicError) Error() string { return "panic" }

// Format implements [fmt.Formatter]: it prints what Error returns.
func (e PanicError) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, e.Error()) }

// LogValue implements [slog.LogValuer].
func (e PanicError) LogValue() slog.Value { return slog.StringValue(e.Error()) }

// InUseError says what keeps a database from being dropped, or a role from being changed. PostgreSQL lets the
// administrator do nothing about it: a superuser or the role itself must end it. docs/operations.md has the statements.
type InUseError struct {
	Database string

	// By names the obstacles: prepared transaction "…", replication slot "…" that is in use, subscription "…".
	By []string
}

// Error names the database and the first obstacles.
func (e *InUseError) Error() string {
	const most = 5
	text := fmt.Sprintf("provision: database %q is in use by %s", e.Database,
		strings.Join(e.By[:min(len(e.By), most)], ", "))
	if more := len(e.By) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// guard turns a panic of f into an error.
func guard(f func() error) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = &PanicError{Value: value, Stack: debug.Stack()}
		}
	}()
	return f()
}
