package pgerr_test

import (
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/middleware"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

func TestDatabaseThatDoesNotAnswerIsUnavailableAndNoFaultOfOurs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want int
	}{
		{io.ErrUnexpectedEOF, 503},
		{tenancy.ErrServerDown, 503},
		{tenancy.ErrFenced, 503},
		{context.DeadlineExceeded, 503},
		{context.Canceled, middleware.StatusClientGone},
		{&pgconn.PgError{Code: "57P01"}, 503},
		{&pgconn.PgError{Code: "53300"}, 503},
		{&pgconn.PgError{Code: "25006"}, 503},
		{&pgconn.PgError{Code: "23505"}, 500},
		{&pgconn.PgError{Code: "42601"}, 500},
		{pgx.ScanArgError{ColumnIndex: 1, Err: io.EOF}, 500},
	} {
		if got := middleware.StatusCode(fmt.Errorf("accounts: find admin: %w", pgerr.Reduce(c.err))); got != c.want {
			t.Errorf("%v: %d, want %d", c.err, got, c.want)
		}
	}
}
