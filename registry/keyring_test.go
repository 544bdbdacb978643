package registry_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/registry/keyring"
)

func TestNewNamesEveryFieldThatIsWrong(t *testing.T) {
	t.Parallel()
	_, err := registry.New(registry.Config{PollInterval: -1})
	for _, field := range []string{"Pool", "Keyring", "PollInterval"} {
		if err == nil || !strings.Contains(err.Error(), "registry: Config."+field+": ") {
			t.Errorf("%s is not named: %v", field, err)
		}
	}
}

func TestWhatOldKeysWroteIsStillReadAndUnknownKeysAreAnError(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.active(t, "acme")
	ring := func(index, sealing []keyring.Key) *registry.Registry {
		k, err := keyring.New(keyring.Config{Index: index, Seal: sealing})
		must(t, err)
		return newRegistry(t, registry.Config{Pool: f.pool, Keyring: k})
	}
	rotated := ring([]keyring.Key{key(2), key(1)}, []keyring.Key{key(101), key(100)})
	members, err := rotated.TenantsByEmail(t.Context(), email(t, "acme@example.com"))
	if err != nil || len(members) != 1 {
		t.Errorf("by the old index key: %d memberships, %v", len(members), err)
	}
	if _, err := rotated.Tenant(t.Context(), "acme"); err != nil {
		t.Errorf("by the old sealing key: %v", err)
	}
	foreign := ring([]keyring.Key{key(2)}, []keyring.Key{key(101)})
	if _, err := ring([]keyring.Key{key(1)}, []keyring.Key{key(101)}).Lookup(t.Context(), "acme"); err == nil ||
		!strings.Contains(err.Error(), "unknown key 100") {
		t.Errorf("without the old sealing key: %v", err)
	}
	var unsigned *registry.UnsignedServerError
	if _, err := foreign.Lookup(t.Context(), "acme"); !errors.As(err, &unsigned) || unsigned.Server != "s1" {
		t.Errorf("without the old index key: %v", err)
	}
	// The new index key finds the admins it signed up. A ring with both keys finds them once.
	res := reservation(t, "new")
	_, err = catalog.Of(rotated).Reserve(t.Context(), res)
	must(t, err)
	for _, r := range []*registry.Registry{f.Registry, rotated, foreign} {
		members, err := r.TenantsByEmail(t.Context(), res.Admin.Email)
		if err != nil || len(members) != 1 {
			t.Errorf("%d memberships, %v", len(members), err)
		}
	}
	if _, err := f.TenantsByEmail(t.Context(), registry.Email{}); !errors.Is(err, registry.ErrInvalidEmail) {
		t.Errorf("no address: %v", err)
	}
}
