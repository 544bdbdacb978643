package keyring_test

import (
	"crypto/rand"
	"fmt"

	"github.com/pgtenancy/pgtenancy/registry/keyring"
)

func ExampleNew() {
	secret := func() []byte {
		b := make([]byte, 32)
		_, _ = rand.Read(b)
		return b
	}
	ring, err := keyring.New(keyring.Config{
		Index: []keyring.Key{{ID: 1, Secret: secret()}},
		Seal:  []keyring.Key{{ID: 1, Secret: secret()}},
	})
	fmt.Println(ring, err)

	_, err = keyring.New(keyring.Config{
		Index: []keyring.Key{{ID: 1, Secret: []byte("too short")}},
	})
	fmt.Println(err)
	// Output:
	// keyring [redacted] <nil>
	// keyring: Config.Index: seal: key 1: must be at least 32 bytes
	// keyring: Config.Seal: seal: no key
}
