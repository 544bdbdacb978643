package tenancy

import (
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
)

// watch returns an OnPgError hook for a connection that is about to be made. An error that says that the server went
// down, or turned into a standby, is true of every connection that was made before: the pool drops them all, once, so
// that not each of them must fail a query first.
func (g *guard) watch(next pgconn.PgErrorHandler) pgconn.PgErrorHandler {
	made := g.generation.Load()
	return func(conn *pgconn.PgConn, err *pgconn.PgError) bool {
		if (isOutage(err.Code) || err.Code == pgerr.ReadOnlyTransaction && !isWritable(conn)) && g.generation.CompareAndSwap(made, made+1) {
			g.pool.Reset()
		}
		return next == nil || next(conn, err)
	}
}

// isWritable reports whether the server says, as it does from version 14 on, that it takes writes. Then it was the
// user's own transaction that was read only. What it says may be older than the statement that failed, so that it
// counts only in a transaction.
func isWritable(conn *pgconn.PgConn) bool {
	return conn.TxStatus() != 'I' && conn.ParameterStatus("in_hot_standby") == "off" && conn.ParameterStatus("default_transaction_read_only") == "off"
}
