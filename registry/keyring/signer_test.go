package keyring_test

import (
	"testing"

	"github.com/pgtenancy/pgtenancy/registry/keyring"
)

func TestRingWithoutIndexKeysSignsUnderItsSealingKeys(t *testing.T) {
	t.Parallel()
	ring := func(cfg keyring.Config) *keyring.Keyring {
		k, err := keyring.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	one := ring(keyring.Config{Seal: []keyring.Key{key(1)}})
	two := ring(keyring.Config{Seal: []keyring.Key{key(2), key(1)}})
	index := ring(keyring.Config{Index: []keyring.Key{key(3)}, Seal: []keyring.Key{key(1)}})
	other := ring(keyring.Config{Index: []keyring.Key{key(1)}, Seal: []keyring.Key{key(4)}})
	signature := one.Sign("text")
	for name, k := range map[string]*keyring.Keyring{"itself": one, "with a newer key": two, "with an index key": index} {
		if !k.Verify("text", signature) || k.Verify("other text", signature) {
			t.Errorf("%s: does not verify", name)
		}
	}
	if two.Sign("text") == signature || index.Sign("text") == signature || other.Verify("text", signature) {
		t.Error("another key signs the same")
	}
	if len(one.MACs("text")) != 0 || len(one.IndexIDs()) != 0 {
		t.Error("a ring without index keys indexes")
	}
}
