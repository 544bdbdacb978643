package registry

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgtenancy/pgtenancy/internal/status"
)

// SQLSTATE codes, from PostgreSQL's documentation, appendix A.
const (
	uniqueViolation      = "23505"
	serializationFailure = "40001"
	deadlockDetected     = "40P01"
	protocolViolation    = "08P01"
	readOnlyTransaction  = "25006"
	undefinedTable       = "42P01"
	invalidSchemaName    = "3F000"
	divisionByZero       = "22012"
	silentTooLong        = "25P03"
)

// driverError is what is left of an error of the driver: pgconn's own errors carry the connection's password and the
// values of rows, and must not reach a caller.
type driverError struct {
	op         string
	code       string // SQLSTATE
	constraint string
	cause      error // a context's error or a system call's, which hold no values
}

// driverErr redacts err, unless it is nil or was marked by refuse.
func driverErr(op string, err error) error {
	if err == nil {
		return nil
	}
	var own refusal
	if errors.As(err, &own) {
		return own.error
	}
	e := &driverError{op: op}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		e.code, e.constraint = pg.Code, pg.ConstraintName
	}
	var errno syscall.Errno
	switch {
	case errors.Is(err, context.Canceled):
		e.cause = context.Canceled
	case errors.Is(err, context.DeadlineExceeded), pgconn.Timeout(err):
		e.cause = context.DeadlineExceeded
	case errors.As(err, &errno):
		e.cause = errno
	}
	return e
}

// refusal marks an error as this package's own: it holds nothing of the driver's.
type refusal struct{ error }

// refuse ends a transaction with err, which the caller of inTx gets as it is.
func refuse(err error) error { return refusal{err} }

// Error names the operation and the SQLSTATE.
func (e *driverError) Error() string {
	var b strings.Builder
	b.WriteString("registry: " + e.op + ": ")
	switch {
	case e.code != "":
		b.WriteString("SQLSTATE " + e.code)
		if e.code == undefinedTable || e.code == invalidSchemaName {
			b.WriteString(": not migrated: call Migrate")
		}
	case e.cause != nil:
		b.WriteString(e.cause.Error())
	default:
		b.WriteString("no answer from the database")
	}
	if e.constraint != "" {
		b.WriteString(" (" + e.constraint + ")")
	}
	return b.String()
}

// SQLState returns PostgreSQL's error code, or nothing if the error is not PostgreSQL's.
func (e *driverError) SQLState() string { return e.code }

// HTTPStatus is 503 when the registry cannot serve now and a later try may work: no answer, or an SQLSTATE of class 08,
// 53, 55 or 57, of a standby, which takes no writes, or of a transaction that was ended because this process was silent
// in it. It is 500 for any other.
func (e *driverError) HTTPStatus() int {
	switch {
	case errors.Is(e.cause, context.Canceled):
		return status.ClientGone
	case e.code == "", e.code == readOnlyTransaction, e.code == silentTooLong, errors.Is(e.cause, context.DeadlineExceeded):
		return status.Unavailable
	}
	switch e.code[:min(2, len(e.code))] {
	case "08", "53", "55", "57": // connection, resources, object not in the state for it, operator
		return status.Unavailable
	}
	return status.Internal
}

// Unwrap lets callers match a context's error.
func (e *driverError) Unwrap() error { return e.cause }

// tries bounds how often a transaction is tried that PostgreSQL gave up in favour of another.
const tries = 10

// retry runs f until it neither deadlocks nor fails to serialize. f must begin and end its transaction.
func retry(ctx context.Context, f func() error) error {
	for try := 1; ; try++ {
		err := f()
		if !isTransient(err) || try == tries {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(rand.N(time.Duration(try*try) * 2 * time.Millisecond)): //nolint:gosec // jitter
		}
	}
}

// maxSilence is how long PostgreSQL waits for the next word of a transaction before it ends the session. Others wait for
// the rows that it has locked: a process that was stopped, or whose host is gone, must not hold them up for longer.
const maxSilence = 10 * time.Second

// limitSilence is the statement that makes it so for a transaction.
func (r *Registry) limitSilence() string {
	return fmt.Sprintf("SET LOCAL idle_in_transaction_session_timeout = %d", r.silence.Milliseconds())
}

// inTx runs f in a transaction, again if it must, and redacts its error unless f refused. An error of f rolls back. f
// should not wait for anything but the transaction.
func (r *Registry) inTx(ctx context.Context, op string, f func(tx pgx.Tx) error) error {
	begin := pgx.TxOptions{BeginQuery: "BEGIN; " + r.limitSilence()}
	return driverErr(op, retry(ctx, func() error { return pgx.BeginTxFunc(ctx, r.pool, begin, f) }))
}

// queryRow runs one statement, again if it must, and scans its row. It returns pgx.ErrNoRows if there is none; any
// other error is redacted.
func (r *Registry) queryRow(ctx context.Context, op, sql string, args []any, dst ...any) error {
	err := retry(ctx, func() error { return r.pool.QueryRow(ctx, sql, args...).Scan(dst...) })
	if errors.Is(err, pgx.ErrNoRows) {
		return pgx.ErrNoRows
	}
	return driverErr(op, err)
}

// exec runs one statement, again if it must, and reports whether it touched a row.
func (r *Registry) exec(ctx context.Context, op, sql string, args ...any) (bool, error) {
	var tag pgconn.CommandTag
	err := retry(ctx, func() (err error) {
		tag, err = r.pool.Exec(ctx, sql, args...)
		return err
	})
	return tag.RowsAffected() > 0, driverErr(op, err)
}

// forEach runs a query, again if it must, and gives each of its rows to f. If it ran again, f gets rows twice.
func (r *Registry) forEach(ctx context.Context, op, sql string, f func(pgx.CollectableRow) error, args ...any) error {
	return driverErr(op, retry(ctx, func() error {
		rows, _ := r.pool.Query(ctx, sql, args...)
		_, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (struct{}, error) { return struct{}{}, f(row) })
		return err
	}))
}

func isTransient(err error) bool {
	code := sqlState(err)
	return code == serializationFailure || code == deadlockDetected
}

// sqlState returns PostgreSQL's code of an error of the driver's; nothing if it is not PostgreSQL's.
func sqlState(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}

// violated returns the name of the unique constraint that err says was violated.
func violated(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == uniqueViolation {
		return pg.ConstraintName
	}
	return ""
}
