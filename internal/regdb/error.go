package regdb

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Error is the safe part of an error of the driver's, with the operation that failed.
type Error struct {
	Reason *pgerr.Error

	op string
}

// Redact redacts err, unless it is nil or was marked by Refuse.
func Redact(op string, err error) error {
	if err == nil {
		return nil
	}
	var own refusal
	if errors.As(err, &own) {
		return own.error
	}
	return &Error{op: op, Reason: pgerr.Reduce(err)}
}

// refusal marks an error as this package's own: it holds nothing of the driver's.
type refusal struct{ error }

// Refuse ends a transaction with err, which the caller of InTx gets as it is.
func Refuse(err error) error { return refusal{err} }

// Error names the operation and describes the safe part.
func (e *Error) Error() string {
	text := "registry: " + e.op + ": " + e.Reason.Error()
	if pgerr.IsState(e.Reason, pgerr.UndefinedTable, pgerr.InvalidSchemaName) {
		text += ": not migrated: call Migrate"
	}
	return text
}

// SQLState returns PostgreSQL's error code, or nothing if the error is not PostgreSQL's.
func (e *Error) SQLState() string { return e.Reason.SQLState() }

// HTTPStatus is for middleware.StatusCode: 503 when a later try may work, and else 500.
func (e *Error) HTTPStatus() int { return e.Reason.HTTPStatus() }

// Unwrap lets callers match a context's error, or a system call's.
func (e *Error) Unwrap() error { return e.Reason.End() }

// NotFound is the error for a tenant that the registry does not have.
func NotFound(id tenancy.ID) error {
	return fmt.Errorf("registry: %w: %q", tenancy.ErrNotFound, Shorten(string(id)))
}

// OrNotFound is NotFound for an error that says that there is no row, and else err.
func OrNotFound(err error, id tenancy.ID) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return NotFound(id)
	}
	return err
}

// Shorten keeps a hostile id from filling an error or a log line.
func Shorten(s string) string {
	if len(s) <= tenancy.MaxIDLength {
		return s
	}
	return s[:tenancy.MaxIDLength] + "…"
}

// Text makes s fit for PostgreSQL: a reason that quotes a broken byte must not keep a failure from being recorded.
func Text(s string) string { return strings.ReplaceAll(strings.ToValidUTF8(s, "�"), "\x00", "�") }

// Storable reports whether PostgreSQL can keep s as text.
func Storable(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }
