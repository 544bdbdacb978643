package atlas

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
)

// errEndsTransaction is what a file is refused with that has BEGIN, COMMIT or ROLLBACK in it.
var errEndsTransaction = errors.New("ends the transaction it is run in: remove COMMIT and ROLLBACK")

// runFiles runs SQL files on a connection with an open transaction, with the default search_path.
func runFiles(ctx context.Context, conn *pgx.Conn, files []file) error {
	if _, err := conn.Exec(ctx, unpin); err != nil {
		return redact(ctx, err)
	}
	before, err := transactionID(ctx, conn)
	if err != nil {
		return redact(ctx, err)
	}
	for _, f := range files {
		if err := runFile(ctx, conn, f); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		// COMMIT followed by BEGIN leaves a transaction open as well, but another one.
		after, err := transactionID(ctx, conn)
		if err != nil {
			return redact(ctx, err)
		}
		if conn.PgConn().TxStatus() != 'T' || after != before {
			return fmt.Errorf("%s: %w", f.name, errEndsTransaction)
		}
	}
	return nil
}

func transactionID(ctx context.Context, conn *pgx.Conn) (id string, err error) {
	err = conn.QueryRow(ctx, "SELECT pg_catalog.pg_current_xact_id()::pg_catalog.text").Scan(&id)
	return id, err
}

// runFile runs a file as one message of the simple protocol. An error says where it was met.
func runFile(ctx context.Context, conn *pgx.Conn, f file) error {
	results := conn.PgConn().Exec(ctx, f.text)
	statement := 1
	for results.NextResult() {
		if _, err := results.ResultReader().Close(); err == nil {
			statement++
		}
	}
	err := results.Close()
	if err == nil {
		return nil
	}
	where, position := fmt.Sprintf("statement %d", statement), 0
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Position > 0 {
		position = int(pg.Position)
		where += fmt.Sprintf(", line %d", line(f.text, position))
		if pg.Code == pgerr.SyntaxError && statement == 1 { // PostgreSQL reads all of a file before it runs any of it
			where = fmt.Sprintf("line %d", line(f.text, position))
		}
	}
	return fmt.Errorf("%s: %w", where, advise(f.text, position, redact(ctx, err)))
}

// line is the line of the position-th character of text; PostgreSQL counts from 1.
func line(text string, position int) int {
	runes := []rune(text)
	return 1 + strings.Count(string(runes[:max(min(position-1, len(runes)), 0)]), "\n")
}
