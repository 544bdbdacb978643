package split

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/provision"
)

// Shared is the database that organizations leave.
type Shared struct {
	Pool   *pgxpool.Pool
	Tables []string // with an organization's rows, in the order of their foreign keys
	Column string   // names the organization in each of them
}

// Seed fills the database of a tenant with the rows of the organization that Request.Data names. It is
// provision.Config.Seed: it runs before the tenant is active, in one transaction with what provision does.
func (s *Shared) Seed(ctx context.Context, tx pgx.Tx, seed provision.Seed) error {
	if len(seed.Data) == 0 {
		return nil // an ordinary sign-up
	}
	if filled, err := s.filled(ctx, tx); err != nil || filled {
		return err // it had committed before its process died
	}
	snapshot := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	return pgx.BeginTxFunc(ctx, s.Pool, snapshot, func(from pgx.Tx) error {
		_, err := from.Exec(ctx, "SELECT set_config('split.org', $1, true)", string(seed.Data))
		for _, table := range s.Tables {
			err = errors.Join(err, s.copyTable(ctx, from, tx, table))
			if err != nil {
				return fmt.Errorf("copy %s: %w", table, err)
			}
		}
		return err
	})
}

// filled reports whether there is a row already.
func (s *Shared) filled(ctx context.Context, tx pgx.Tx) (filled bool, err error) {
	for _, table := range s.Tables {
		if !filled && err == nil {
			err = tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM "+name(table)+")").Scan(&filled)
		}
	}
	return filled, err
}

// copyTable copies an organization's rows, sets the sequences and compares the counts.
func (s *Shared) copyTable(ctx context.Context, from, to pgx.Tx, table string) error {
	var columns string // of the tenant's table, so that the organization's is left out
	if err := to.QueryRow(ctx, `SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
		WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''`,
		name(table)).Scan(&columns); err != nil {
		return err
	}
	rows := " FROM " + name(table) + " WHERE " + pgx.Identifier{s.Column}.Sanitize() + " = current_setting('split.org')"
	if err := stream(ctx, from, "COPY (SELECT "+columns+rows+") TO STDOUT",
		to, "COPY "+name(table)+" ("+columns+") FROM STDIN"); err != nil {
		return err
	}
	if err := setSequences(ctx, to, table); err != nil {
		return err
	}
	var sent, received int64
	err := errors.Join(from.QueryRow(ctx, "SELECT count(*)"+rows).Scan(&sent),
		to.QueryRow(ctx, "SELECT count(*) FROM "+name(table)).Scan(&received))
	if err == nil && sent != received {
		err = fmt.Errorf("%d rows of %d arrived", received, sent)
	}
	return err
}

// stream connects a COPY TO STDOUT with a COPY FROM STDIN.
func stream(ctx context.Context, from pgx.Tx, read string, to pgx.Tx, write string) error {
	r, w := io.Pipe()
	sent := make(chan error, 1)
	go func() {
		_, err := from.Conn().PgConn().CopyTo(ctx, w, read)
		sent <- errors.Join(err, w.CloseWithError(err))
	}()
	_, err := to.Conn().PgConn().CopyFrom(ctx, r, write)
	_ = r.CloseWithError(cmp.Or(err, io.ErrClosedPipe)) // what is still sent has no reader
	if sendErr := <-sent; sendErr != nil && err == nil {
		err = sendErr
	}
	return err
}

// setSequences lets the sequences of a table's columns go on after the largest value.
func setSequences(ctx context.Context, tx pgx.Tx, table string) error {
	rows, _ := tx.Query(ctx, `SELECT attname::text FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0
		AND NOT attisdropped AND pg_get_serial_sequence($1::text, attname::text) IS NOT NULL`, name(table))
	columns, err := pgx.CollectRows(rows, pgx.RowTo[string])
	for _, column := range columns {
		if err == nil {
			_, err = tx.Exec(ctx, strings.ReplaceAll(`SELECT setval(pg_get_serial_sequence($1, $2),
				coalesce(max($column), 0) + 1, false) FROM `+name(table), "$column", pgx.Identifier{column}.Sanitize()),
				name(table), column)
		}
	}
	return err
}

func name(table string) string { return pgx.Identifier{"public", table}.Sanitize() }
