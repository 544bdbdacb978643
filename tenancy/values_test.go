package tenancy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

func FuzzParseID(f *testing.F) {
	for _, s := range []string{
		"acme", "a", "0", "-a", "_a", "a-b_c", "A", "", " a", "a ", "a\x00", "ａ", "a/../b", "a.b", `a"b`,
		strings.Repeat("a", 55), strings.Repeat("a", 56), "K", "c5e2q8x3b9a1m7f4",
	} {
		f.Add(s)
	}
	canonical := regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,54}\z`)
	f.Fuzz(func(t *testing.T, s string) {
		id, err := tenancy.ParseID(s)
		if ok := err == nil; ok != canonical.MatchString(s) || ok != tenancy.ID(s).Valid() {
			t.Fatalf("ParseID(%q): %v", s, err)
		}
		if err != nil {
			if !errors.Is(err, tenancy.ErrInvalidID) || id != "" || len(err.Error()) > 300 {
				t.Fatalf("ParseID(%q) = %q, %v", s, id, err)
			}
			return
		}
		if id.String() != s {
			t.Fatalf("ParseID(%q) = %q", s, id)
		}
	})
}

func TestSecretNeverPrints(t *testing.T) {
	t.Parallel()
	tn := tenant("acme", 1)
	tn.Endpoint.Password = tenancy.NewSecret("hunter2")
	var out bytes.Buffer
	for _, v := range []any{
		tn.Endpoint.Password, tn.Endpoint, tn, &tn,
		[]tenancy.Tenant{tn},
		struct{ unexported tenancy.Tenant }{tn},
		struct{ unexported *tenancy.Tenant }{&tn},
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", v)
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v)
		if err := json.NewEncoder(&out).Encode(v); err != nil {
			t.Fatal(err)
		}
	}
	if s := out.String(); strings.Contains(s, "hunter2") || strings.Contains(s, fmt.Sprintf("%x", "hunter2")) {
		t.Error(s)
	}
	if tn.Endpoint.Password.Reveal() != "hunter2" {
		t.Error("Reveal")
	}
}

func TestErrorsCarryNoSecretsOfTheDriver(t *testing.T) {
	t.Parallel()
	sentinel := errors.New("registry unavailable")
	refused, err := pgconn.ParseConfig("host=127.0.0.1 port=1 user=root password=hunter2 dbname=registry sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	_, connect := pgconn.ConnectConfig(t.Context(), refused)
	_, parse := pgconn.ParseConfig("postgres://root:hunter2@[bad")
	row := &pgconn.PgError{Code: "23505", Message: "hunter2", Detail: "Key (email)=(hunter2) exists", ConstraintName: "c"}
	late := errors.Join(connect, context.DeadlineExceeded)
	for _, c := range []struct {
		cause error
		want  string
	}{
		{connect, "connect: connection refused"},
		{late, "connect: context deadline exceeded"},
		{parse, "invalid connection settings"},
		{row, `constraint "c" (SQLSTATE 23505)`},
	} {
		dir := newTenants("acme")
		dir.hook(func(context.Context, tenancy.ID) error { return fmt.Errorf("%w: %w", sentinel, c.cause) })
		r := resolver(t, tenancy.Config{Directory: dir})
		_, err := r.Acquire(t.Context(), "acme")
		closeNow(t, r)
		if want := `tenancy: look up tenant "acme": ` + c.want; err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
		var all strings.Builder
		for e := err; e != nil; e = errors.Unwrap(e) {
			fmt.Fprintf(&all, "%v %+v %#v %s %q\n", e, e, e, e, e)
		}
		if strings.Contains(all.String(), "hunter2") {
			t.Error(all.String())
		}
		var ce *pgconn.ConnectError
		var pe *pgconn.ParseConfigError
		var pg *pgconn.PgError
		if errors.As(err, &ce) || errors.As(err, &pe) || !errors.Is(err, sentinel) {
			t.Error("the driver's error is reachable, or the sentinel is not")
		}
		if errors.As(err, &pg) && (pg.Code != "23505" || pg.Detail != "" || pg.Message == "hunter2") {
			t.Errorf("PgError %+v", pg)
		}
		if (c.cause == row) != (pg != nil) {
			t.Errorf("SQLSTATE of %v: %v", c.cause, pg)
		}
		if errors.Is(err, context.DeadlineExceeded) != (c.cause == late) {
			t.Error("the context's error does not match")
		}
	}
}

func TestStateErrorMatchesItsOwnSentinelOnly(t *testing.T) {
	t.Parallel()
	err := error(&tenancy.StateError{ID: "acme", State: tenancy.Moving})
	if !errors.Is(err, tenancy.ErrMoving) || !errors.Is(err, tenancy.ErrNotActive) ||
		errors.Is(err, tenancy.ErrSuspended) || errors.Is(err, tenancy.ErrNotFound) {
		t.Errorf("%v matches wrongly", err)
	}
	if err.Error() != `tenancy: tenant "acme" is moving` {
		t.Error(err)
	}
}

func TestCauseHasAName(t *testing.T) {
	t.Parallel()
	var got []string
	for c := tenancy.CauseIdle - 1; c <= tenancy.CauseClosed+1; c++ {
		got = append(got, c.String())
	}
	if s := strings.Join(got, " "); s != "unknown idle capacity explicit changed closed unknown" {
		t.Error(s)
	}
	if (&tenancy.Stat{}).EvictCount(99) != 0 {
		t.Error("EvictCount")
	}
}

func TestContextCarriesTheLease(t *testing.T) {
	t.Parallel()
	r := resolver(t, tenancy.Config{Directory: newTenants("acme")})
	defer closeNow(t, r)
	l := acquire(t, r, "acme")
	defer l.Release()
	if got, ok := tenancy.FromContext(tenancy.NewContext(t.Context(), l)); !ok || got != l {
		t.Error("not found")
	}
	if _, ok := tenancy.FromContext(t.Context()); ok {
		t.Error("found in an empty context")
	}
	if _, ok := tenancy.FromContext(tenancy.NewContext(t.Context(), nil)); ok {
		t.Error("a nil lease was found")
	}
}
