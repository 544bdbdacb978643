package registry_test

import (
	"errors"
	"testing"

	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/registry/keyring"
)

// TestOtherKeysAreNoticed guards an operator whose program made new keys because it did not find the old ones: what it
// wrote opened under neither, and an e-mail that had an account could sign up again.
func TestOtherKeysAreNoticed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	other := func(id int16) keyring.Key {
		k := key(id)
		k.Secret[0] ^= 1
		return k
	}
	rings := map[string]struct {
		index, seal keyring.Key
		want        error
	}{
		"the same":                        {key(1), key(100), nil},
		"an index key that is new":        {key(9), key(100), nil},
		"another index key under its id":  {other(1), key(100), registry.ErrWrongKeys},
		"another key to seal with":        {key(1), key(101), registry.ErrWrongKeys},
		"another one to seal with its id": {key(1), other(100), registry.ErrWrongKeys},
	}
	check := func(name string) error {
		c := rings[name]
		ring, err := keyring.New(keyring.Config{Index: []keyring.Key{c.index}, Seal: []keyring.Key{c.seal}})
		must(t, err)
		r, err := registry.New(registry.Config{Pool: f.pool, Keyring: ring})
		must(t, err)
		return r.CheckKeys(t.Context())
	}
	for name := range rings {
		must(t, check(name)) // nothing is there yet
	}
	f.active(t, "acme")
	for name, c := range rings {
		if err := check(name); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}
