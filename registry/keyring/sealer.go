package keyring

import (
	"context"
	"time"
)

// Sealer seals in place of the keys of a [Keyring], for operators whose keys must not leave a key service (a KMS,
// Vault's transit engine). It is asked for every value that is read or written, by Lookup too, whenever a router opens
// a tenant: a Sealer on a network should keep data keys of its own, sealed by the key service, and fetch only those.
//
// Its errors are passed on, and hold no secret. ctx governs each call, and ends after 10 s at the latest. It is used by
// many goroutines at once.
type Sealer interface {
	// Seal encrypts plain such that it opens for place and for no other.
	Seal(ctx context.Context, plain []byte, place string) ([]byte, error)

	// Open decrypts what Seal returned. It returns an error for a value that was altered or sealed for another place.
	Open(ctx context.Context, sealed []byte, place string) ([]byte, error)

	// Current reports whether sealed has the form and the key that Seal gives a value now. Rekey rewrites the others.
	Current(sealed []byte) bool
}

// foreign begins a value that a Sealer has sealed; a value that a key of the ring has sealed begins with 1, the version
// of its layout.
const foreign = 2

// sealerTimeout is how long a Sealer may take. The reconciler and the survey ask for one tenant after the other, and a
// key service that hangs must not hold them up for good.
const sealerTimeout = 10 * time.Second

// Sealer returns what seals in place of the ring's keys; nil if they seal.
func (k *Keyring) Sealer() Sealer { return k.sealer }

// Seal encrypts plain under the current sealing key, or has the Sealer do it. The value opens for place and for no
// other. The errors are the Sealer's.
func (k *Keyring) Seal(ctx context.Context, plain []byte, place string) ([]byte, error) {
	if k.sealer == nil {
		return k.box.Seal(plain, place), nil
	}
	ctx, cancel := context.WithTimeout(ctx, sealerTimeout)
	defer cancel()
	sealed, err := k.sealer.Seal(ctx, plain, place)
	if err != nil {
		return nil, err
	}
	return append([]byte{foreign}, sealed...), nil
}

// Open decrypts what Seal returned, now or under an earlier current key of the ring. It returns an error for a value
// that was altered, was sealed for another place, or under a key that the ring does not have.
func (k *Keyring) Open(ctx context.Context, sealed []byte, place string) ([]byte, error) {
	if k.sealer == nil || len(sealed) == 0 || sealed[0] != foreign {
		return k.box.Open(sealed, place)
	}
	ctx, cancel := context.WithTimeout(ctx, sealerTimeout)
	defer cancel()
	return k.sealer.Open(ctx, sealed[1:], place)
}

// Current reports whether sealed has the form and the key that Seal gives a value now.
func (k *Keyring) Current(sealed []byte) bool {
	if k.sealer == nil {
		return k.box.Current(sealed)
	}
	return len(sealed) > 0 && sealed[0] == foreign && k.sealer.Current(sealed[1:])
}
