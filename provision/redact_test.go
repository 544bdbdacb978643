package provision_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgtenancy/pgtenancy/provision"
)

func TestDriverErrorsLoseWhatIsSecret(t *testing.T) {
	t.Parallel()
	const secret = "s3cret"
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
	for name, err := range map[string]error{
		"refused": refused, "canceled": canceled, "malformed": malformed,
		"unique": pg("23505"), "data": pg("22P02"), "wrapped": fmt.Errorf("insert %s: %w", secret, pg("23505")),
		"joined": errors.Join(errBroken, pg("P0001")),
	} {
		if err == nil {
			t.Fatalf("%s: no error to redact", name)
		}
		got := provision.Redact(fmt.Errorf("x: %w", provision.Redact(err)))
		for _, verb := range []string{"%v", "%+v", "%#v", "%q", "%s", "%d"} {
			if text := fmt.Sprintf(verb, got); strings.Contains(text, secret) {
				t.Errorf("%s under %s: %s", name, verb, text)
			}
		}
		for e := got; e != nil; e = errors.Unwrap(e) {
			var connect *pgconn.ConnectError
			var parse *pgconn.ParseConfigError
			var p *pgconn.PgError
			if errors.As(e, &connect) || errors.As(e, &parse) || errors.As(e, &p) && strings.Contains(fmt.Sprintf("%#v", *p), secret) {
				t.Errorf("%s: the driver's error can be reached", name)
			}
		}
	}
	if !errors.Is(provision.Redact(canceled), context.Canceled) || !errors.Is(provision.Redact(errors.Join(errBroken, pg("P0001"))), errBroken) {
		t.Error("what callers match is lost")
	}
	if state(provision.Redact(pg("23505"))) != "23505" {
		t.Error("the SQLSTATE is lost")
	}
	if err := provision.Redact(errBroken); err != errBroken {
		t.Errorf("%v", err)
	}
}
