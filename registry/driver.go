package registry

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
)

// driverError is what may be known of an error of the driver's, and what was tried.
type driverError struct {
	op     string
	reason *pgerr.Error
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
	return &driverError{op: op, reason: pgerr.Reduce(err)}
}

// refusal marks an error as this package's own: it holds nothing of the driver's.
type refusal struct{ error }

// refuse ends a transaction with err, which the caller of inTx gets as it is.
func refuse(err error) error { return refusal{err} }

// Error names the operation and says what may be known.
func (e *driverError) Error() string {
	text := "registry: " + e.op + ": " + e.reason.Error()
	if pgerr.IsState(e.reason, pgerr.UndefinedTable, pgerr.InvalidSchemaName) {
		text += ": not migrated: call Migrate"
	}
	return text
}

// SQLState returns PostgreSQL's error code, or nothing if the error is not PostgreSQL's.
func (e *driverError) SQLState() string { return e.reason.SQLState() }

// HTTPStatus is for middleware.StatusCode: 503 when a later try may work, and else 500.
func (e *driverError) HTTPStatus() int { return e.reason.HTTPStatus() }

// Unwrap lets callers match a context's error, or a system call's.
func (e *driverError) Unwrap() error { return e.reason.End() }

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

// maxSilence is how long PostgreSQL waits for the next word of a transaction before it ends the session. Others wait
// for the rows that it has locked: a process that was stopped, or whose host is gone, must not hold them up for longer.
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
	return pgerr.IsState(err, pgerr.SerializationFailure, pgerr.DeadlockDetected)
}
