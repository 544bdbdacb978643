package tenancy

import (
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
)

// watch returns an OnPgError hook for a connection that is about to be made. An error that says that the server went
// down, or turned into a standby, or that the schema is another one than the connection remembers, is true of every
// connection that was made before: the pool drops them all, once, so that not each of them must fail a query first.
func (g *guard) watch(next pgconn.PgErrorHandler) pgconn.PgErrorHandler {
	made := g.generation.Load()
	return func(conn *pgconn.PgConn, err *pgconn.PgError) bool {
		lost := isOutage(err.Code) || err.Code == pgerr.ReadOnlyTransaction && !isWritable(conn) || isOutOfDate(err)
		if lost && g.generation.CompareAndSwap(made, made+1) {
			g.pool.Reset()
		}
		return next == nil || next(conn, err)
	}
}

// isOutOfDate reports whether err says that a prepared statement, or a type that the connection knows by its number, is
// no longer what it was. 0A000 says it only where the plan is looked at again: elsewhere it is a statement that
// PostgreSQL does not support. XX000, an internal error, is what a type or table that is gone comes to.
func isOutOfDate(err *pgconn.PgError) bool {
	return err.Code == "0A000" && err.Routine == "RevalidateCachedQuery" || err.Code == "XX000"
}

// isWritable reports whether the server says, as it does from version 14 on, that it takes writes. Then it was the
// user's own transaction that was read only. What it says may be older than the statement that failed, so that it
// counts only in a transaction.
func isWritable(conn *pgconn.PgConn) bool {
	return conn.TxStatus() != 'I' && conn.ParameterStatus("in_hot_standby") == "off" && conn.ParameterStatus("default_transaction_read_only") == "off"
}
