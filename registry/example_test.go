package registry_test

import (
	"crypto/rand"
	"fmt"

	"github.com/pgtenancy/pgtenancy/registry"
)

func ExampleNewKeyring() {
	secret := func() []byte {
		b := make([]byte, 32)
		_, _ = rand.Read(b)
		return b
	}
	ring, err := registry.NewKeyring(registry.KeyringConfig{
		Index: []registry.Key{{ID: 1, Secret: secret()}},
		Seal:  []registry.Key{{ID: 1, Secret: secret()}},
	})
	fmt.Println(ring, err)

	_, err = registry.NewKeyring(registry.KeyringConfig{
		Index: []registry.Key{{ID: 1, Secret: []byte("too short")}},
	})
	fmt.Println(err)
	// Output:
	// keyring [redacted] <nil>
	// registry: KeyringConfig.Index: seal: key 1: must be at least 32 bytes
	// registry: KeyringConfig.Seal: seal: no key
}

func ExampleParseEmail() {
	e, err := registry.ParseEmail(" Ann@Bücher.example ")
	fmt.Println(e, err)
	fmt.Println(e.Reveal())

	_, err = registry.ParseEmail("Ann <ann@example.com>")
	fmt.Println(err)
	// Output:
	// [redacted] <nil>
	// Ann@Bücher.example
	// registry: invalid e-mail address
}
