package registry_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/pgtenancy/pgtenancy/registry"
)

func TestNewKeyringNamesEveryViolationAndNoSecret(t *testing.T) {
	t.Parallel()
	secret := []byte("short secret")
	for what, c := range map[string]struct {
		cfg  registry.KeyringConfig
		want []string
	}{
		"empty": {registry.KeyringConfig{}, []string{"KeyringConfig.Index: must hold", "KeyringConfig.Seal: "}},
		"short": {
			registry.KeyringConfig{Index: []registry.Key{{1, secret}}, Seal: []registry.Key{{2, secret}}},
			[]string{"Index: seal: key 1: must be at least 32", "Seal: seal: key 2: must be at least 32"},
		},
		"zero": {
			registry.KeyringConfig{Index: []registry.Key{{1, make([]byte, 32)}}, Seal: []registry.Key{key(2)}},
			[]string{"Index: seal: key 1: must be random"},
		},
		"id 0":     {registry.KeyringConfig{Index: []registry.Key{key(0)}, Seal: []registry.Key{key(2)}}, []string{"id must be positive"}},
		"id twice": {registry.KeyringConfig{Index: []registry.Key{key(1), {1, key(3).Secret}}, Seal: []registry.Key{key(2)}}, []string{"key 1: given twice"}},
		"secret twice": {
			registry.KeyringConfig{Index: []registry.Key{key(1)}, Seal: []registry.Key{{2, key(1).Secret}}},
			[]string{"two keys have one secret"},
		},
		"long sealing key": {
			registry.KeyringConfig{Index: []registry.Key{key(1)}, Seal: []registry.Key{{2, bytes.Repeat([]byte("ab"), 32)}}},
			[]string{"Seal: seal: key 2: must be 32 bytes"},
		},
	} {
		_, err := registry.NewKeyring(c.cfg)
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", what, err, want)
			}
		}
		if err != nil && strings.Contains(err.Error(), string(secret)) {
			t.Errorf("%s: the error holds a secret", what)
		}
	}
}

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
	ring := func(index, sealing []registry.Key) *registry.Registry {
		k, err := registry.NewKeyring(registry.KeyringConfig{Index: index, Seal: sealing})
		must(t, err)
		return newRegistry(t, registry.Config{Pool: f.pool, Keyring: k})
	}
	rotated := ring([]registry.Key{key(2), key(1)}, []registry.Key{key(101), key(100)})
	members, err := rotated.TenantsByEmail(t.Context(), email(t, "acme@example.com"))
	if err != nil || len(members) != 1 {
		t.Errorf("by the old index key: %d memberships, %v", len(members), err)
	}
	if _, err := rotated.Tenant(t.Context(), "acme"); err != nil {
		t.Errorf("by the old sealing key: %v", err)
	}
	foreign := ring([]registry.Key{key(2)}, []registry.Key{key(101)})
	if _, err := ring([]registry.Key{key(1)}, []registry.Key{key(101)}).Lookup(t.Context(), "acme"); err == nil ||
		!strings.Contains(err.Error(), "unknown key 100") {
		t.Errorf("without the old sealing key: %v", err)
	}
	var unsigned *registry.UnsignedServerError
	if _, err := foreign.Lookup(t.Context(), "acme"); !errors.As(err, &unsigned) || unsigned.Server != "s1" {
		t.Errorf("without the old index key: %v", err)
	}
	// The new index key finds whom it signed up, and whoever has both finds them once.
	res := reservation(t, "new")
	_, err = rotated.Reserve(t.Context(), res)
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
