package pgerr

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Error is the safe part of an error of the driver's. It has no Unwrap: errors.As must not reach the driver's
// error. errors.Is matches what the cause matches. errors.As finds a *pgconn.PgError that has the safe fields of the
// server's.
type Error struct {
	text  string
	pg    *pgconn.PgError // its safe fields; nil if the server said nothing
	cause error
}

// Reduce returns the safe part of err, which must not be nil and comes from the driver. What was put around the
// driver's error is left out, because it may quote it; what was put around an error that Reduce returned is left out
// too.
func Reduce(err error) *Error {
	var (
		done    *Error
		pg      *pgconn.PgError
		connect *pgconn.ConnectError
		parse   *pgconn.ParseConfigError
		scan    pgx.ScanArgError
	)
	if !holdsDriverError(err) && errors.As(err, &done) {
		return done
	}
	e := &Error{cause: err}
	switch {
	case errors.As(err, &pg):
		e.pg = visible(pg)
		e.text = describe(e.pg)
	case errors.As(err, &parse):
		e.text = "invalid connection settings"
	case errors.As(err, &scan):
		e.text = fmt.Sprintf("cannot read column %d of the answer", scan.ColumnIndex+1)
	default:
		e.text = reason(err)
	}
	if errors.As(err, &connect) {
		e.text = "connect: " + e.text
	}
	return e
}

// Redact returns err as it may be shown. It stays as it is, with everything that was put around a reduced error, unless
// there is an error of the driver's in it that was not reduced: then it becomes what Reduce returns.
func Redact(err error) error {
	if !holdsDriverError(err) {
		return err
	}
	return Reduce(err)
}

// holdsDriverError looks through all that err wraps, but for reduced errors.
func holdsDriverError(err error) bool {
	switch e := err.(type) { //nolint:errorlint // the loop over wrapped errors is here
	case nil, *Error:
		return false
	case *pgconn.PgError, *pgconn.ConnectError, *pgconn.ParseConfigError, pgx.ScanArgError:
		return true
	case interface{ Unwrap() error }:
		return holdsDriverError(e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			if holdsDriverError(inner) {
				return true
			}
		}
	}
	return false
}

// reason says why there was no answer, without saying from where: errors of the net package name addresses.
func reason(err error) string {
	var (
		lookup      *net.DNSError
		certificate *tls.CertificateVerificationError
	)
	end := end(err)
	switch {
	case end != nil:
		return end.Error()
	case errors.As(err, &lookup) && lookup.IsNotFound:
		return "no such host"
	case errors.As(err, &certificate):
		return "the certificate of the server cannot be verified"
	}
	return "no answer from the database"
}

// end returns the context's error, or the system call's, that err came from; nil if it came from neither.
func end(err error) error {
	var errno syscall.Errno
	switch {
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.Is(err, context.DeadlineExceeded), pgconn.Timeout(err):
		return context.DeadlineExceeded
	case errors.As(err, &errno):
		return errno
	}
	return nil
}

// Error describes the safe part.
func (e *Error) Error() string { return e.text }

// Format prints the text under every verb: %#v would print the fields.
func (e *Error) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, e.text) }

// Is reports whether the driver's error matches target, which the caller has already and so learns nothing from.
func (e *Error) Is(target error) bool {
	return errors.Is(e.cause, target) || e.End() == target && target != nil
}

// End returns the context's error, or the system call's, that the driver's error came from; nil if it came from
// neither.
func (e *Error) End() error { return end(e.cause) }

// SQLState returns PostgreSQL's error code, or nothing if the server said nothing.
func (e *Error) SQLState() string { return State(e) }

// As stores the safe fields of the server's error.
func (e *Error) As(target any) bool {
	pg, ok := target.(**pgconn.PgError)
	if !ok || e.pg == nil {
		return false
	}
	kept := *e.pg
	*pg = &kept
	return true
}

// IsConnect reports whether err, reduced or not, says that no connection came about.
func IsConnect(err error) bool {
	var (
		done    *Error
		connect *pgconn.ConnectError
	)
	if errors.As(err, &done) {
		err = done.cause
	}
	return errors.As(err, &connect)
}

// describe writes a server's error, of which all may be seen, in one line.
func describe(pg *pgconn.PgError) string {
	text := strings.TrimPrefix(pg.Error(), ": ")
	for _, part := range []struct{ label, text string }{{"detail", pg.Detail}, {"hint", pg.Hint}} {
		if part.text != "" {
			text += "; " + part.label + ": " + shorten(part.text)
		}
	}
	return text
}

// shorten puts text into one line of bounded length.
func shorten(text string) string {
	const most = 400
	line := []rune(strings.Join(strings.Fields(text), " "))
	if len(line) > most {
		return string(line[:most]) + "…"
	}
	return string(line)
}
