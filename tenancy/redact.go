package tenancy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
)

// redact returns err unless a driver error is in it. A ConnectError carries the whole configuration, password included,
// and a PgError may quote a row; both are replaced by an error that prints the SQLSTATE and little else.
func redact(err error) error {
	var (
		connect *pgconn.ConnectError
		parse   *pgconn.ParseConfigError
		pg      *pgconn.PgError
	)
	switch {
	case errors.As(err, &pg):
		return &redactedError{text: "server error (SQLSTATE " + pg.Code + ")", err: err, code: pg.Code}
	case errors.As(err, &connect):
		return &redactedError{text: "cannot connect" + reason(err), err: err}
	case errors.As(err, &parse):
		return &redactedError{text: "malformed connection string", err: err}
	}
	return err
}

// reason adds the part of a network error that names no address.
func reason(err error) string {
	var errno syscall.Errno
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return ": " + context.DeadlineExceeded.Error()
	case errors.Is(err, context.Canceled):
		return ": " + context.Canceled.Error()
	case errors.As(err, &errno):
		return ": " + errno.Error()
	}
	return ""
}

// redactedError hides an error but still matches what it matches. It has no Unwrap: errors.As must not reach the
// driver's error. It finds a *pgconn.PgError that has only the code.
type redactedError struct {
	text string
	code string
	err  error
}

func (e *redactedError) Error() string { return e.text }

// Format prints the text under every verb: %#v would print the fields.
func (e *redactedError) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, e.text) }

// Is reports whether the hidden error matches target, which the caller has already and so learns nothing from.
func (e *redactedError) Is(target error) bool { return errors.Is(e.err, target) }

// As stores a PgError that carries the SQLSTATE alone.
func (e *redactedError) As(target any) bool {
	pg, ok := target.(**pgconn.PgError)
	if !ok || e.code == "" {
		return false
	}
	*pg = &pgconn.PgError{Severity: "ERROR", Message: "redacted", Code: e.code}
	return true
}
