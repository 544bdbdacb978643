package totp

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/pquerna/otp"
	rfc6238 "github.com/pquerna/otp/totp"

	"github.com/pgtenancy/pgtenancy/authn/accounts"
	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/registry/keyring"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

var _ accounts.SecondFactor = (*TOTP)(nil)

// enrolled returns a TOTP and an admin who has enrolled, with the secret in the form that applications take.
func enrolled(t *testing.T) (f *TOTP, m registry.Membership, secret string) {
	t.Helper()
	cfg := pgtest.Migrated(t, registry.Migrate)
	pool, err := pgxpool.NewWithConfig(context.WithoutCancel(t.Context()), cfg)
	must(t, err)
	t.Cleanup(pool.Close)
	ring, err := keyring.New(keyring.Config{
		Index: []keyring.Key{{ID: 1, Secret: bytes.Repeat([]byte{1, 2}, 16)}},
		Seal:  []keyring.Key{{ID: 1, Secret: bytes.Repeat([]byte{3, 4}, 16)}},
	})
	must(t, err)
	reg, err := registry.New(registry.Config{Pool: pool, Keyring: ring})
	must(t, err)
	must(t, reg.PutServer(t.Context(), registry.Server{Name: "s1", Host: "db1.internal", Port: 5432}))
	email, err := registry.ParseEmail("ada@example.org")
	must(t, err)
	claim, err := catalog.Of(reg).Reserve(t.Context(), catalog.Reservation{
		ID: "acme", Database: "acme", Role: "acme", Password: tenancy.NewSecret("x"), Owner: "test", TTL: time.Minute,
		Admin: registry.Admin{ID: "a1", Email: email},
	})
	must(t, err)
	must(t, catalog.Of(reg).Activate(t.Context(), claim))
	f, err = New(Config{Registry: reg, Issuer: "Acme Ltd"})
	must(t, err)
	m = registry.Membership{TenantID: "acme", AdminID: "a1"}
	uri, err := f.Enroll(t.Context(), m, "ada@example.org")
	must(t, err)
	key, err := otp.NewKeyFromURL(uri.Reveal())
	must(t, err)
	if key.Issuer() != "Acme Ltd" || key.AccountName() != "ada@example.org" || key.Type() != "totp" {
		t.Errorf("an application would show %q of %q", key.AccountName(), key.Issuer())
	}
	return f, m, key.Secret()
}

func code(t *testing.T, secret string, at time.Time) string {
	t.Helper()
	c, err := rfc6238.GenerateCode(secret, at)
	must(t, err)
	return c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestCodeIsGoodOnceAndNoOlderOneAfterIt(t *testing.T) {
	t.Parallel()
	f, m, secret := enrolled(t)
	if required, err := f.Required(t.Context(), m); err != nil || required {
		t.Fatalf("required before it is confirmed: %v", err)
	}
	now := time.Now()
	if err := f.Confirm(t.Context(), m, "000000x"); !errors.Is(err, ErrWrongCode) {
		t.Errorf("a wrong code: %v", err)
	}
	must(t, f.Confirm(t.Context(), m, code(t, secret, now)))
	if required, err := f.Required(t.Context(), m); err != nil || !required {
		t.Errorf("not required: %v", err)
	}
	for name, at := range map[string]time.Time{"used": now, "older": now.Add(-period)} {
		if ok, err := f.Prove(t.Context(), m, code(t, secret, at)); ok || err != nil {
			t.Errorf("%s code: %v, %v", name, ok, err)
		}
	}
	next := code(t, secret, now.Add(period))
	var wg sync.WaitGroup
	oks := make(chan bool, 8)
	for range cap(oks) {
		wg.Go(func() {
			ok, err := f.Prove(t.Context(), m, next)
			if err != nil {
				t.Error(err)
			}
			oks <- ok
		})
	}
	pgtest.Wait(t, "every goroutine ends", wg.Wait)
	good := 0
	for range cap(oks) {
		if <-oks {
			good++
		}
	}
	if good != 1 {
		t.Errorf("one code was good %d times at once", good)
	}
	if _, err := f.Enroll(t.Context(), m, "x"); !errors.Is(err, registry.ErrConflict) {
		t.Errorf("enrolled over a factor in force: %v", err)
	}
	must(t, f.Remove(t.Context(), m))
	if required, err := f.Required(t.Context(), m); err != nil || required {
		t.Errorf("required after it was removed: %v", err)
	}
	if err := f.Confirm(t.Context(), m, next); !errors.Is(err, ErrNotEnrolled) {
		t.Errorf("confirmed without a secret: %v", err)
	}
}

func TestFactorOfAnotherTenantsAdminIsNone(t *testing.T) {
	t.Parallel()
	f, m, secret := enrolled(t)
	m.TenantID = "globex"
	if ok, err := f.Prove(t.Context(), m, code(t, secret, time.Now())); ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
	if _, err := f.Enroll(t.Context(), registry.Membership{TenantID: "acme", AdminID: "x"}, "x"); !errors.Is(err,
		registry.ErrAdminNotFound) {
		t.Errorf("an admin who is none: %v", err)
	}
}

// TestCodesAreThoseOfRFC6238 takes its appendix B, of which six digits are the last of eight.
func TestCodesAreThoseOfRFC6238(t *testing.T) {
	t.Parallel()
	secret, err := hex.DecodeString("3132333435363738393031323334353637383930")
	must(t, err)
	for at, want := range map[int64]string{
		59: "287082", 1111111109: "081804", 1234567890: "005924", 20000000000: "353130",
	} {
		if step, ok, err := match(secret, want, time.Unix(at, 0)); err != nil || !ok || step != at/30 {
			t.Errorf("at %d: %v, %v, %v", at, step, ok, err)
		}
		if _, ok, err := match(secret, want, time.Unix(at, 0).Add(3*period)); ok || err != nil {
			t.Errorf("90 s after %d: %v, %v", at, ok, err)
		}
	}
}

func TestNewNamesEveryViolation(t *testing.T) {
	t.Parallel()
	_, err := New(Config{Issuer: "a:b"})
	want := "totp: Config.Registry: required\ntotp: Config.Issuer: must be a name without a colon"
	if err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
}
