package registry_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

func TestTheDumpGivesNothingAway(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	c := f.reserve(t, "planted")
	f.reserve(t, "unfinished")
	_, err := f.Reserve(t.Context(), keyed(t, "keyed", "key", "hash of the request"))
	must(t, err)
	must(t, f.PutStep(t.Context(), c, catalog.Step{Name: "s", State: catalog.StepDone, Result: "result of planted"}))
	must(t, f.Activate(t.Context(), c))
	_, first := f.open(t, "planted")
	second := f.rotate(t, first)
	dump := f.dump(t)
	if !bytes.Contains(dump, []byte("tenant_planted")) {
		t.Fatal("the dump is not one of the registry")
	}
	secrets := []string{
		"planted@example.com", "planted@EXAMPLE", "unfinished@example.com", "office@planted.example",
		"db password of", "data of unfinished", "data of planted", "result of planted",
		"hash of the request",
		first.Reveal(), second.Reveal(), mac(first), mac(second),
	}
	hits := 0
	for _, secret := range secrets {
		raw := []byte(secret)
		if decoded, err := base64.RawURLEncoding.DecodeString(secret); err == nil && len(decoded) == 32 {
			raw = decoded
		}
		for form, planted := range map[string][]byte{
			"as it is": raw, "in hex": []byte(hex.EncodeToString(raw)),
			"in base64": []byte(base64.RawStdEncoding.EncodeToString(raw[:len(raw)/3*3])),
		} {
			if bytes.Contains(bytes.ToLower(dump), bytes.ToLower(planted)) {
				hits++
				t.Errorf("%q is in the dump, %s", secret, form)
			}
		}
	}
	pgtest.Figure(t, "S8", "%d e-mails, passwords, tokens and data in 3 forms: %d in a dump of %d bytes", len(secrets),
		hits, len(dump))
}

func mac(token tenancy.Secret) string {
	s := token.Reveal()
	return s[strings.LastIndex(s, ".")+1:]
}

func TestNoErrorHoldsASecret(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.reserve(t, "acme")
	errs := []error{errors.New("want at least one")}
	note := func(err error) {
		if err == nil {
			t.Errorf("error %d: got none", len(errs))
		}
		errs = append(errs, err)
	}
	reserve := func(change func(*catalog.Reservation)) {
		res := reservation(t, "planted")
		change(&res)
		_, err := f.Reserve(t.Context(), res)
		note(err)
	}
	reserve(func(r *catalog.Reservation) { r.Admin.Email = email(t, "acme@example.com") })
	reserve(func(r *catalog.Reservation) { r.Admin.ID = "admin-acme" })
	reserve(func(r *catalog.Reservation) { r.Database = "nul\x00planted" })
	reserve(func(r *catalog.Reservation) { r.TTL = 0 })
	f.exec(t, `ALTER TABLE pgtenancy.admins ADD CONSTRAINT planted CHECK (password_hash = '')`+` NOT VALID`)
	reserve(func(*catalog.Reservation) {})

	cfg := pgtest.Database(t)
	cfg.ConnConfig.User, cfg.ConnConfig.Password = "nobody_planted", "planted password"
	refused := newRegistry(t, registry.Config{Pool: newPool(t, cfg), Keyring: newKeyring(t, 1)})
	note(refused.Check(t.Context()))
	note(registry.Migrate(t.Context(), newPool(t, cfg.Copy())))
	unreachable := cfg.Copy()
	unreachable.ConnConfig.Host, unreachable.ConnConfig.Port = "127.0.0.1", 1
	down := newRegistry(t, registry.Config{Pool: newPool(t, unreachable), Keyring: newKeyring(t, 1)})
	note(down.Check(t.Context()))
	_, err := down.Lookup(t.Context(), "acme")
	note(err)
	_, err = down.Servers(t.Context())
	note(err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	_, err = f.Lookup(ctx, "acme")
	note(err)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Lookup after the deadline: %v", err)
	}
	for _, err := range errs {
		for ; err != nil; err = errors.Unwrap(err) {
			s := fmt.Sprintf("%v %+v %#v %q", err, err, err, err)
			for _, secret := range []string{
				"@example.com", "db password of", "planted password", "nobody_planted", "$argon2id",
			} {
				if strings.Contains(s, secret) {
					t.Errorf("%q is in %s", secret, s)
				}
			}
		}
	}
}
