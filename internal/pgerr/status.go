package pgerr

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgtenancy/pgtenancy/internal/status"
)

// HTTPStatus is 503 when the database cannot serve now and a later try may work: no answer, or an SQLSTATE of class
// 08, 53, 55 or 57, of a standby, which takes no writes, or of a transaction that was ended because this process was
// silent in it. It is 500 for any other.
func (e *Error) HTTPStatus() int {
	var (
		parse *pgconn.ParseConfigError
		scan  pgx.ScanArgError
	)
	code := e.SQLState()
	switch {
	case errors.Is(e, context.Canceled):
		return status.ClientGone
	case errors.As(e.cause, &parse), errors.As(e.cause, &scan):
		return status.Internal
	case code == "", code == ReadOnlyTransaction, code == SilentTooLong, errors.Is(e, context.DeadlineExceeded):
		return status.Unavailable
	}
	switch code[:min(2, len(code))] {
	case "08", "53", "55", "57": // connection, resources, object not in the state for it, operator
		return status.Unavailable
	}
	return status.Internal
}
