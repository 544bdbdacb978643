package registry_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/internal/seal"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/registry/keyring"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// vault seals as a key service would, counts how often it is asked, and can be down.
type vault struct {
	box  *seal.Box
	asks atomic.Int64
	down atomic.Bool
}

var errVault = errors.New("vault is sealed")

func newVault(t testing.TB, id int16) *vault {
	t.Helper()
	box, err := seal.New([]seal.Key{seal.Key(key(id))})
	must(t, err)
	return &vault{box: box}
}

func (v *vault) ask() error {
	v.asks.Add(1)
	if v.down.Load() {
		return errVault
	}
	return nil
}

func (v *vault) Seal(_ context.Context, plain []byte, place string) ([]byte, error) {
	return v.box.Seal(plain, place), v.ask()
}

func (v *vault) Open(_ context.Context, sealed []byte, place string) ([]byte, error) {
	if err := v.ask(); err != nil {
		return nil, err
	}
	return v.box.Open(sealed, place)
}

func (v *vault) Current(sealed []byte) bool { return v.box.Current(sealed) }

// sealedBy returns a registry on f's database that seals with s and reads what the given keys have sealed.
func (f *fixture) sealedBy(t testing.TB, s keyring.Sealer, old ...keyring.Key) *registry.Registry {
	t.Helper()
	ring, err := keyring.New(keyring.Config{Index: []keyring.Key{key(1)}, Seal: old, Sealer: s})
	must(t, err)
	return newRegistry(t, registry.Config{Pool: f.pool, Keyring: ring})
}

func TestASealerStandsInForTheKeyring(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	v := newVault(t, 50)
	r := f.sealedBy(t, v)
	c, err := catalog.Of(r).Reserve(t.Context(), reservation(t, "acme"))
	must(t, err)
	must(t, catalog.Of(r).PutStep(t.Context(), c, catalog.Step{Name: "s", State: catalog.StepDone, Result: "customer"}))
	must(t, catalog.Of(r).Activate(t.Context(), c))
	_, token, err := catalog.Of(r).OpenSession(t.Context(), catalog.SessionRequest{
		TenantID: "acme",
		AdminID:  "admin-acme", TTL: grace,
	})
	must(t, err)
	_, _, err = catalog.Of(r).RotateSession(t.Context(), token, grace)
	must(t, err)
	steps, err := catalog.Of(r).Steps(t.Context(), "acme")
	if err != nil || steps[0].Result != "customer" {
		t.Errorf("steps %v, %v", steps, err)
	}
	tenant, err := r.Tenant(t.Context(), "acme")
	if err != nil || tenant.Endpoint.Password.Reveal() != "db password of acme" || tenant.Organization.Email.IsZero() {
		t.Errorf("tenant %v, %v", tenant, err)
	}
	if v.asks.Load() < 8 {
		t.Errorf("the sealer was asked %d times", v.asks.Load())
	}
	if _, err := f.Lookup(t.Context(), "acme"); err == nil {
		t.Error("a keyring opens what the sealer has sealed")
	}
}

func TestWhatASealerCannotOpenOrSealIsAnErrorThatSaysWhere(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	v := newVault(t, 50)
	r := f.sealedBy(t, v)
	c, err := catalog.Of(r).Reserve(t.Context(), reservation(t, "acme"))
	must(t, err)
	must(t, catalog.Of(r).Activate(t.Context(), c))
	v.down.Store(true)
	_, lookup := r.Lookup(t.Context(), "acme")
	_, reserve := catalog.Of(r).Reserve(t.Context(), reservation(t, "other"))
	_, _, session := catalog.Of(r).OpenSession(t.Context(), catalog.SessionRequest{
		TenantID: "acme",
		AdminID:  "admin-acme", TTL: grace,
	})
	for what, err := range map[string]error{
		`open tenants.password of "acme"`: lookup,
		`seal tenants.data of "other"`:    reserve,
		"seal sessions.secret of":         session,
	} {
		if !errors.Is(err, errVault) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if n := f.count(t, "pgtenancy.tenants"); n != 1 {
		t.Errorf("%d tenants", n)
	}
}

func TestASealerReadsWhatTheKeyringHadSealed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.active(t, "old")
	r := f.sealedBy(t, newVault(t, 50), key(100))
	if _, err := r.Lookup(t.Context(), "old"); err != nil {
		t.Error(err)
	}
	if _, err := f.sealedBy(t, newVault(t, 50)).Lookup(t.Context(), "old"); !errors.Is(err, seal.ErrKey) {
		t.Errorf("without the old key: %v", err)
	}
}

// S15: a writer to the registry cannot give one tenant what belongs to another.
func TestSealedValuesDoNotOpenInAnotherRow(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for what, r := range map[string]*registry.Registry{"keyring": f.Registry, "sealer": f.sealedBy(t, newVault(t, 50))} {
		for _, name := range []string{what + "-a", what + "-b"} {
			c, err := catalog.Of(r).Reserve(t.Context(), reservation(t, name))
			must(t, err)
			must(t, catalog.Of(r).Activate(t.Context(), c))
		}
		a, b := tenancy.ID(what+"-a"), what+"-b"
		f.exec(t, `UPDATE pgtenancy.tenants SET password = (SELECT password FROM pgtenancy.tenants WHERE id = $2) WHERE
			id = $1`, a, b)
		if got, err := r.Lookup(t.Context(), a); err == nil || !got.Endpoint.Password.IsZero() {
			t.Errorf("%s: another tenant's password opens: %v", what, err)
		}
		f.exec(t, `UPDATE pgtenancy.admins SET email = (SELECT email FROM pgtenancy.admins WHERE id = $2) WHERE id = $1`,
			"admin-"+string(a), "admin-"+b)
		if got, err := r.Admin(t.Context(), "admin-"+string(a)); err == nil || !got.Email.IsZero() {
			t.Errorf("%s: another admin's e-mail opens: %v", what, err)
		}
		// Nor does a value that lost its end, or its beginning.
		f.exec(t, `UPDATE pgtenancy.tenants SET password = substr(password, 1, length(password) - 1) WHERE id = $1`, b)
		if _, err := r.Lookup(t.Context(), tenancy.ID(b)); err == nil {
			t.Errorf("%s: a cut value opens", what)
		}
		f.exec(t, `UPDATE pgtenancy.tenants SET password = ''`)
		if _, err := r.Lookup(t.Context(), tenancy.ID(b)); err == nil {
			t.Errorf("%s: an empty value opens", what)
		}
	}
}

func TestCurrentIsWhatTheFirstKeySeals(t *testing.T) {
	t.Parallel()
	box, err := seal.New([]seal.Key{seal.Key(key(2)), seal.Key(key(1))})
	must(t, err)
	old, err := seal.New([]seal.Key{seal.Key(key(1))})
	must(t, err)
	value := box.Seal([]byte("x"), "p")
	for what, c := range map[string]struct {
		sealed []byte
		want   bool
	}{
		"current": {value, true}, "old": {old.Seal([]byte("x"), "p"), false}, "empty": {nil, false}, "short": {
			value[:2],
			false,
		},
		"another version": {slices.Concat([]byte{9}, value[1:]), false}, "damaged": {bytes.Clone(value[:3]), true},
	} {
		if got := box.Current(c.sealed); got != c.want {
			t.Errorf("%s: %t", what, got)
		}
	}
}
