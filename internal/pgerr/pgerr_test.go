package pgerr_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
)

const secret = "s3cret"

var errOther = errors.New("other")

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// driverErrors are errors with the secret wherever it can be.
func driverErrors(t *testing.T) map[string]error {
	t.Helper()
	cfg, err := pgx.ParseConfig("host=127.0.0.1 port=1 user=ann password=" + secret + " sslmode=disable connect_timeout=5")
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, refused := pgx.ConnectConfig(ctx, cfg)
	ended, end := context.WithCancel(t.Context())
	end()
	_, canceled := pgx.ConnectConfig(ended, cfg)
	_, malformed := pgx.ParseConfig("host=a password=" + secret + " port=" + secret)
	pg := func(code string) error {
		return &pgconn.PgError{
			Severity: "ERROR", Code: code, Message: "about " + secret, Detail: secret, Hint: secret, Where: secret,
			InternalQuery: secret, ConstraintName: "admins_pkey",
		}
	}
	return map[string]error{
		"refused": refused, "canceled": canceled, "malformed": malformed,
		"unique": pg("23505"), "null": pg("23502"), "data": pg("22P02"), "syntax": pg("42601"), "internal": pg("XX000"),
		"wrapped":                     fmt.Errorf("insert %s: %w", secret, pg("23505")),
		"joined":                      errors.Join(errOther, pg("P0001")),
		"beside one that was reduced": errors.Join(pgerr.Redact(pg("23505")), pg("22P02")),
		"scan":                        pgx.ScanArgError{ColumnIndex: 1, Err: errors.New("parsing " + secret)},
		"raised": &pgconn.PgError{
			Code: "42501", Message: secret, Detail: secret, Hint: secret, TableName: secret, ColumnName: secret,
			ConstraintName: secret, DataTypeName: secret, SchemaName: secret, File: "pl_exec.c", Routine: "exec_stmt_raise",
		},
	}
}

func TestDriverErrorsLoseWhatIsSecret(t *testing.T) {
	t.Parallel()
	for name, err := range driverErrors(t) {
		if err == nil {
			t.Fatalf("%s: no error to redact", name)
		}
		for how, got := range map[string]error{
			"redacted": pgerr.Redact(err), "twice": pgerr.Redact(fmt.Errorf("x: %w",
				pgerr.Redact(err))), "reduced": pgerr.Reduce(err),
		} {
			var all bytes.Buffer
			slog.New(slog.NewTextHandler(&all, nil)).Info("", "err", got)
			slog.New(slog.NewJSONHandler(&all, nil)).Info("", "err", got)
			_ = json.NewEncoder(&all).Encode(got)
			for _, verb := range []string{"%v", "%+v", "%#v", "%q", "%s", "%d", "%x"} {
				fmt.Fprintf(&all, verb+"\n", got)
			}
			if strings.Contains(all.String(), secret) || strings.Contains(all.String(), fmt.Sprintf("%x", secret)) {
				t.Errorf("%s, %s: %s", name, how, all.String())
			}
			for e := got; e != nil; e = errors.Unwrap(e) {
				var connect *pgconn.ConnectError
				var parse *pgconn.ParseConfigError
				var scan pgx.ScanArgError
				var p *pgconn.PgError
				if errors.As(e, &connect) || errors.As(e, &parse) || errors.As(e, &scan) ||
					errors.As(e, &p) && strings.Contains(fmt.Sprintf("%#v", *p), secret) {
					t.Errorf("%s, %s: the driver's error can be reached", name, how)
				}
			}
		}
	}
}

func TestRedactKeepsWhatCallersMatch(t *testing.T) {
	t.Parallel()
	raw := driverErrors(t)
	if err := pgerr.Redact(raw["canceled"]); !errors.Is(err, context.Canceled) || !pgerr.IsConnect(err) {
		t.Errorf("%v", err)
	}
	if err := pgerr.Redact(raw["joined"]); !errors.Is(err, errOther) || pgerr.State(err) != "P0001" {
		t.Errorf("%v", err)
	}
	if err := pgerr.Redact(raw["unique"]); pgerr.Violated(err) != "admins_pkey" || pgerr.IsConnect(err) {
		t.Errorf("%v", err)
	}
	if err := pgerr.Redact(errOther); err != errOther {
		t.Errorf("%v", err)
	}
	if err := pgerr.Redact(nil); err != nil {
		t.Errorf("%v", err)
	}
	var pg *pgconn.PgError
	if err := pgerr.Redact(raw["unique"]); errors.As(err, &pg) {
		pg.Code = "00000"
		if pgerr.State(err) != "23505" {
			t.Error("a caller can change the error")
		}
	}
}

func TestRedactKeepsWhatWasPutAroundAReducedError(t *testing.T) {
	t.Parallel()
	inner := fmt.Errorf("schema.sql: statement 3, line 7: %w",
		pgerr.Redact(&pgconn.PgError{Code: "42601", Message: secret}))
	want := "build: schema.sql: statement 3, line 7: syntax error (SQLSTATE 42601)"
	if err := pgerr.Redact(fmt.Errorf("build: %w", inner)); err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestErrorSaysWhatHoldsNoData(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  pgconn.PgError
		want string
	}{
		{
			pgconn.PgError{Code: "0A000", Message: `extension "postgis" is not available`, Hint: "Install it."},
			`extension "postgis" is not available (SQLSTATE 0A000); hint: Install it.`,
		},
		{
			pgconn.PgError{
				Code: "0A000", Message: "cannot alter type of a column used by a view or rule",
				Detail: "rule _RETURN on\nview v",
			},
			"cannot alter type of a column used by a view or rule (SQLSTATE 0A000); detail: rule _RETURN on view v",
		},
		{
			pgconn.PgError{
				Code: "23502", Message: "x", Detail: "Failing row contains (hunter2).", TableName: "t",
				ColumnName: "c",
			},
			`null value in column "c" of table "t" (SQLSTATE 23502)`,
		},
		{
			pgconn.PgError{
				Code: "23505", Message: "x", Detail: "Key (email)=(hunter2) exists.", TableName: "t",
				ConstraintName: "k",
			},
			`constraint "k" of table "t" (SQLSTATE 23505)`,
		},
		{
			pgconn.PgError{Code: "22P02", Message: `invalid input syntax for type integer: "hunter2"`},
			"data exception (SQLSTATE 22P02)",
		},
		{
			pgconn.PgError{Code: "22003", Message: "hunter2", DataTypeName: "posint"},
			`data exception in type "posint" (SQLSTATE 22003)`,
		},
		{pgconn.PgError{Code: "P0001", Message: "hunter2"}, "raised by a function (SQLSTATE P0001)"},
		{
			pgconn.PgError{Code: "42501", Message: "hunter2", Routine: "exec_stmt_raise"},
			"raised by a function (SQLSTATE 42501)",
		},
		{
			pgconn.PgError{Code: "42501", Message: "permission denied for table t", Routine: "aclcheck_error"},
			"permission denied for table t (SQLSTATE 42501)",
		},
		{
			pgconn.PgError{
				Code: "XX000", Message: `template database "x" has a collation version mismatch`, Detail: "It was 1.",
				Hint: "Rebuild.", File: "dbcommands.c", Routine: "createdb",
			},
			`template database "x" has a collation version mismatch (SQLSTATE XX000); detail: It was 1.; hint: Rebuild.`,
		},
		{
			pgconn.PgError{
				Code: "XX000", Message: "parse error", Hint: "hunter2", File: "lwgeom_pg.c",
				Routine: "pg_parser_errhint",
			},
			"internal error in pg_parser_errhint (SQLSTATE XX000)",
		},
		{pgconn.PgError{Code: "XX001", Message: "invalid page in block 0"}, "invalid page in block 0 (SQLSTATE XX001)"},
		{
			pgconn.PgError{Code: "08001", Message: "could not establish connection", Detail: `missing "=" after "hunter2"`},
			"could not establish connection (SQLSTATE 08001)",
		},
		{
			pgconn.PgError{Code: "2BP01", Message: "cannot drop x", Detail: strings.Repeat("é", 500)},
			"cannot drop x (SQLSTATE 2BP01); detail: " + strings.Repeat("é", 400) + "…",
		},
		{pgconn.PgError{Code: "28P01", Message: "hunter2"}, "the password was refused (SQLSTATE 28P01)"},
		{pgconn.PgError{Code: "28000", Message: "hunter2"}, "the role was refused (SQLSTATE 28000)"},
		{pgconn.PgError{Code: "", Message: "hunter2"}, "refused (SQLSTATE )"},
	} {
		if got := pgerr.Reduce(&c.err).Error(); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}
