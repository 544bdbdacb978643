package regdb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/registry/keyring"
)

// DB is the database of a registry, and the keys that its values are sealed with. It is safe for concurrent use.
type DB struct {
	Pool        *pgxpool.Pool
	Keys        *keyring.Keyring
	Secrets     map[string]SecretSource // by scheme
	IdleTimeout time.Duration           // see IdleTimeout

	SharedEmails bool // an e-mail may belong to several tenants
}

// Format implements [fmt.Formatter]: under every verb a DB shows nothing; it leads to the keys.
func (*DB) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "registry database") }

// tries bounds how often a transaction is tried that PostgreSQL gave up in favour of another.
const tries = 10

// Retry runs f until it neither deadlocks nor fails to serialize. f must begin and end its transaction.
func Retry(ctx context.Context, f func() error) error {
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

// IdleTimeout is how long PostgreSQL waits for the next word of a transaction before it ends the session. Others wait
// for the rows that it has locked: a process that was stopped, or whose host is gone, must not hold them up for longer.
const IdleTimeout = 10 * time.Second

// SetIdleTimeout is the statement that makes it so for a transaction.
func (db *DB) SetIdleTimeout() string {
	return fmt.Sprintf("SET LOCAL idle_in_transaction_session_timeout = %d", db.IdleTimeout.Milliseconds())
}

// InTx runs f in a transaction, again if it must, and redacts its error unless it is a refusal. An error of f rolls
// back. f should not wait for anything but the transaction.
func (db *DB) InTx(ctx context.Context, op string, f func(tx pgx.Tx) error) error {
	begin := pgx.TxOptions{BeginQuery: "BEGIN; " + db.SetIdleTimeout()}
	return Redact(op, Retry(ctx, func() error { return pgx.BeginTxFunc(ctx, db.Pool, begin, f) }))
}

// QueryRow runs one statement, again if it must, and scans its row. It returns pgx.ErrNoRows if there is none; any
// other error is redacted.
func (db *DB) QueryRow(ctx context.Context, op, sql string, args []any, dst ...any) error {
	err := Retry(ctx, func() error { return db.Pool.QueryRow(ctx, sql, args...).Scan(dst...) })
	if errors.Is(err, pgx.ErrNoRows) {
		return pgx.ErrNoRows
	}
	return Redact(op, err)
}

// Exec runs one statement, again if it must, and reports whether it touched a row.
func (db *DB) Exec(ctx context.Context, op, sql string, args ...any) (bool, error) {
	var tag pgconn.CommandTag
	err := Retry(ctx, func() (err error) {
		tag, err = db.Pool.Exec(ctx, sql, args...)
		return err
	})
	return tag.RowsAffected() > 0, Redact(op, err)
}

// ForEach runs a query, again if it must, and gives each of its rows to f. If it ran again, f gets rows twice.
func (db *DB) ForEach(ctx context.Context, op, sql string, f func(pgx.CollectableRow) error, args ...any) error {
	return Redact(op, Retry(ctx, func() error {
		rows, _ := db.Pool.Query(ctx, sql, args...)
		_, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (struct{}, error) { return struct{}{}, f(row) })
		return err
	}))
}

func isTransient(err error) bool {
	return pgerr.IsState(err, pgerr.SerializationFailure, pgerr.DeadlockDetected)
}
