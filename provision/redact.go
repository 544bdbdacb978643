package provision

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// redactedError stands for an error of the driver's. A ConnectError carries the whole configuration with the password,
// a PgError row values; neither can be reached through this one, whatever the verb. errors.Is sees everything that the
// cause matches, and errors.As finds a PgError that has its code, constraint and harmless message only.
type redactedError struct {
	text  string
	pg    *pgconn.PgError // stripped; nil if there was none
	cause error
}

func (e *redactedError) Error() string { return e.text }

func (e *redactedError) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, e.text) }

func (e *redactedError) Is(target error) bool { return errors.Is(e.cause, target) }

func (e *redactedError) As(target any) bool {
	pg, ok := target.(**pgconn.PgError)
	if !ok || e.pg == nil {
		return false
	}
	*pg = e.pg
	return true
}

// redact returns err as it may be shown, stored and logged. An error without a driver's error in it stays as it is.
func redact(err error) error {
	if err == nil {
		return nil
	}
	var (
		done    *redactedError
		pg      *pgconn.PgError
		connect *pgconn.ConnectError
		parse   *pgconn.ParseConfigError
	)
	if errors.As(err, &done) {
		return err
	}
	isPg, isConnect := errors.As(err, &pg), errors.As(err, &connect)
	switch {
	case !isPg && !isConnect && !errors.As(err, &parse):
		return err
	case isPg:
		pg = strip(pg)
		text := pg.Error()
		if isConnect {
			text = "connect: " + text
		}
		return &redactedError{text: text, pg: pg, cause: err}
	case isConnect:
		return &redactedError{text: "connect: " + dialError(err), cause: err}
	}
	return &redactedError{text: "invalid connection settings", cause: err}
}

// strip keeps what of an error of the server's never holds a value.
func strip(e *pgconn.PgError) *pgconn.PgError {
	s := &pgconn.PgError{
		Severity:       e.Severity,
		Code:           e.Code,
		SchemaName:     e.SchemaName,
		TableName:      e.TableName,
		ColumnName:     e.ColumnName,
		ConstraintName: e.ConstraintName,
	}
	s.Message = "refused"
	switch {
	case e.ConstraintName != "":
		s.Message = fmt.Sprintf("constraint %q", e.ConstraintName)
	case messageIsHarmless(e.Code):
		s.Message = e.Message
	}
	return s
}

// messageIsHarmless tells by class. The messages of data exceptions (22), of raised exceptions (P0) and of syntax
// errors quote values; those of these classes name objects and states.
func messageIsHarmless(code string) bool {
	if code == "42601" || len(code) != 5 {
		return false
	}
	return strings.Contains("08 25 28 2B 3D 3F 42 53 54 55 57 58 XX", code[:2])
}

// dialError says why no connection came about, without what the connection was to be.
func dialError(err error) string {
	var op *net.OpError
	switch {
	case errors.Is(err, context.Canceled):
		return context.Canceled.Error()
	case errors.Is(err, context.DeadlineExceeded):
		return context.DeadlineExceeded.Error()
	case errors.As(err, &op):
		return op.Op + ": " + op.Err.Error()
	}
	return "no connection"
}

// isServerDown reports whether err, redacted or not, says that no connection came about for a reason that is the
// server's. What it refuses to one database or role shows that it is well.
func isServerDown(err error) bool {
	var done *redactedError
	if errors.As(err, &done) {
		err = done.cause
	}
	var connect *pgconn.ConnectError
	if !errors.As(err, &connect) || errors.Is(connect, context.Canceled) {
		return false
	}
	var pg *pgconn.PgError
	return !errors.As(connect, &pg) || strings.HasPrefix(pg.Code, connectionException) ||
		isState(pg, adminShutdown, crashShutdown, cannotConnectNow)
}
