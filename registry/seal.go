package registry

import (
	"context"
	"fmt"
	"time"
)

// Sealer seals in place of the keys of a [Keyring], for operators whose keys must not leave a key service (a KMS,
// Vault's transit engine). It is asked for every value that is read or written, by Lookup too, whenever a router opens
// a tenant: one that asks a network keeps data keys of its own, which that network seals, and asks for those alone.
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

// foreign begins a value that a Sealer has sealed; one that a key of the ring has sealed begins with 1, the version of
// its layout.
const foreign = 2

// keeperPatience is how long a Sealer or a SecretSource may take. The reconciler and the survey ask for one tenant after
// the other, and a key service that hangs must not hold them up for good.
const keeperPatience = 10 * time.Second

func (k *Keyring) seal(ctx context.Context, plain []byte, table, row, column string) ([]byte, error) {
	if k.sealer == nil {
		return k.box.Seal(plain, location(table, row, column)), nil
	}
	ctx, cancel := context.WithTimeout(ctx, keeperPatience)
	defer cancel()
	sealed, err := k.sealer.Seal(ctx, plain, location(table, row, column))
	if err != nil {
		return nil, fmt.Errorf("registry: seal %s.%s of %q: %w", table, column, row, err)
	}
	return append([]byte{foreign}, sealed...), nil
}

func (k *Keyring) open(ctx context.Context, sealed []byte, table, row, column string) ([]byte, error) {
	var plain []byte
	var err error
	if k.sealer != nil && len(sealed) > 0 && sealed[0] == foreign {
		ctx, cancel := context.WithTimeout(ctx, keeperPatience)
		defer cancel()
		plain, err = k.sealer.Open(ctx, sealed[1:], location(table, row, column))
	} else {
		plain, err = k.box.Open(sealed, location(table, row, column))
	}
	if err != nil {
		return nil, fmt.Errorf("registry: open %s.%s of %q: %w", table, column, row, err)
	}
	return plain, nil
}

// current reports whether sealed is as seal would write it now.
func (k *Keyring) current(sealed []byte) bool {
	if k.sealer == nil {
		return k.box.Current(sealed)
	}
	return len(sealed) > 0 && sealed[0] == foreign && k.sealer.Current(sealed[1:])
}

// location binds a sealed value to its row: moved to another row, it does not open.
func location(table, row, column string) string { return table + "|" + row + "|" + column }
