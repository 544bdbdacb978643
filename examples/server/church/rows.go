package church

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// querier is a pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// rows is the part that all nouns share: their records are read and deleted alike. table and columns are constants of
// this package.
type rows[T any] struct{ table, columns string }

// Get returns one record. It returns ErrNotFound if there is none with that id.
func (r rows[T]) Get(ctx context.Context, db *pgxpool.Pool, id string) (T, error) {
	return r.get(ctx, db, id)
}

func (r rows[T]) get(ctx context.Context, q querier, id string) (T, error) {
	if !validID(id) {
		var none T
		return none, ErrNotFound
	}
	return one[T](ctx, q, "SELECT "+r.columns+" FROM "+r.table+" WHERE id = $1", id)
}

// List returns up to limit records that come after a place in the list, newest first.
func (r rows[T]) List(ctx context.Context, db *pgxpool.Pool, after Cursor, limit int) ([]T, error) {
	at, id := after.key()
	return all[T](ctx, db, "SELECT "+r.columns+" FROM "+r.table+
		" WHERE (created_at, id) < ($1, $2) ORDER BY created_at DESC, id DESC LIMIT $3", at, id, limit)
}

// Delete deletes one record. It returns ErrNotFound if there is none with that id, and ErrInUse if others need it.
func (r rows[T]) Delete(ctx context.Context, db *pgxpool.Pool, id string) error {
	if !validID(id) {
		return ErrNotFound
	}
	tag, err := db.Exec(ctx, "DELETE FROM "+r.table+" WHERE id = $1", id)
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && (pgErr.Code == "23503" || pgErr.Code == "23001") {
		return ErrInUse
	}
	if err == nil && tag.RowsAffected() == 0 {
		return ErrNotFound
	}
	return explain(err)
}

// one runs a query that returns exactly one row.
func one[T any](ctx context.Context, q querier, sql string, args ...any) (T, error) {
	found, err := q.Query(ctx, sql, args...)
	if err != nil {
		var none T
		return none, explain(err)
	}
	record, err := pgx.CollectExactlyOneRow(found, pgx.RowToStructByName[T])
	return record, explain(err)
}

// all runs a query that returns any number of rows.
func all[T any](ctx context.Context, q querier, sql string, args ...any) ([]T, error) {
	found, err := q.Query(ctx, sql, args...)
	if err != nil {
		return nil, explain(err)
	}
	records, err := pgx.CollectRows(found, pgx.RowToStructByName[T])
	return records, explain(err)
}
