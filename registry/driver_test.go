package registry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/internal/regdb"
	"github.com/pgtenancy/pgtenancy/registry"
)

func TestAnErrorOfTheDriverSaysItsStatus(t *testing.T) {
	t.Parallel()
	pg := func(code string) error { return &pgconn.PgError{Code: code} }
	for _, c := range []struct {
		err  error
		want int
	}{
		{pg("08006"), 503},
		{pg("53300"), 503},
		{pg("55P03"), 503},
		{pg("57P03"), 503},
		{pg("25006"), 503},
		{pg("25001"), 500},
		{pg("23505"), 500},
		{pg("42P01"), 500},
		{pg("0"), 500},
		{io.ErrUnexpectedEOF, 503},
		{syscall.ECONNREFUSED, 503},
		{context.DeadlineExceeded, 503},
		{errors.Join(context.DeadlineExceeded, pg("42601")), 503},
		{errors.Join(context.Canceled, pg("57014")), 499},
		{context.Canceled, 499},
	} {
		err := fmt.Errorf("sign in: %w", regdb.Redact("try", c.err))
		var status interface{ HTTPStatus() int }
		if !errors.As(err, &status) || status.HTTPStatus() != c.want {
			t.Errorf("%v: want status %d of %v", c.err, c.want, err)
		}
	}
}

func TestARegistryThatIsDownIsUnavailable(t *testing.T) {
	t.Parallel()
	cfg := pgtest.Database(t)
	cfg.ConnConfig.Host, cfg.ConnConfig.Port = "127.0.0.1", 1
	down := newRegistry(t, registry.Config{Pool: newPool(t, cfg), Keyring: newKeyring(t, 1)})
	var status interface{ HTTPStatus() int }
	if err := down.Check(t.Context()); !errors.As(err, &status) || status.HTTPStatus() != 503 {
		t.Errorf("%v: want status 503", err)
	}
}

func TestARegistryThatIsNotMigratedSaysSo(t *testing.T) {
	t.Parallel()
	pool := newPool(t, pgtest.Database(t))
	r := newRegistry(t, registry.Config{Pool: pool, Keyring: newKeyring(t, 1)})
	check := func(code string) {
		t.Helper()
		err := r.Check(t.Context())
		if err == nil || !strings.HasSuffix(err.Error(), "(SQLSTATE "+code+"): not migrated: call Migrate") {
			t.Errorf("Check: %v", err)
		}
	}
	check("42P01")
	if _, err := pool.Exec(t.Context(), `CREATE SCHEMA pgtenancy`); err != nil {
		t.Fatal(err)
	}
	check("42P01")
	if err := regdb.Redact("try", &pgconn.PgError{Code: "3F000"}); !strings.HasSuffix(err.Error(), "call Migrate") {
		t.Error(err)
	}
}
