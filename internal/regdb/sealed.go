package regdb

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pgtenancy/pgtenancy/internal/seal"
	"github.com/pgtenancy/pgtenancy/internal/status"
	"github.com/pgtenancy/pgtenancy/registry/keyring"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// ErrSecretRef is registry.ErrSecretRef.
var ErrSecretRef error = status.New(status.Unavailable, "registry: secret reference", "")

// SecretSource is registry.SecretSource.
type SecretSource = func(ctx context.Context, name string) (tenancy.Secret, error)

// secretTimeout is how long a SecretSource may take. The reconciler and the survey ask for one tenant after the other,
// and a vault that hangs must not hold them up for good.
const secretTimeout = 10 * time.Second

// Seal encrypts a value of a row's column.
func (db *DB) Seal(ctx context.Context, plain []byte, table, row, column string) ([]byte, error) {
	sealed, err := db.Keys.Seal(ctx, plain, location(table, row, column))
	if err != nil {
		return nil, fmt.Errorf("registry: seal %s.%s of %q: %w", table, column, row, err)
	}
	return sealed, nil
}

// Open decrypts a value of a row's column.
func (db *DB) Open(ctx context.Context, sealed []byte, table, row, column string) ([]byte, error) {
	plain, err := db.Keys.Open(ctx, sealed, location(table, row, column))
	if err != nil {
		return nil, fmt.Errorf("registry: open %s.%s of %q: %w", table, column, row, err)
	}
	return plain, nil
}

// location binds a sealed value to its row: moved to another row, it does not open.
func location(table, row, column string) string { return table + "|" + row + "|" + column }

// IsLost reports whether a sealed value will never open, or not without a key that this process lacks.
func IsLost(err error) bool { return errors.Is(err, seal.ErrKey) || errors.Is(err, seal.ErrOpen) }

// EmailIndex returns the values of a normalized address in the blind index, one for each index key, ordered by key.
func (db *DB) EmailIndex(normalized string) []keyring.MAC {
	return db.Keys.MACs("v1|admin_email_index|email|" + normalized)
}

// refMark begins a password that is a reference: no password of PostgreSQL's has a NUL.
const refMark = "\x00"

// OpenPassword returns the password of a tenant's role, which is the sealed value or the secret that it refers to.
func (db *DB) OpenPassword(ctx context.Context, sealed []byte, id tenancy.ID) (tenancy.Secret, error) {
	plain, err := db.Open(ctx, sealed, "tenants", string(id), "password")
	if err != nil {
		return tenancy.Secret{}, err
	}
	ref, ok := strings.CutPrefix(string(plain), refMark)
	if !ok {
		return tenancy.NewSecret(string(plain)), nil
	}
	secret, err := db.resolveSecretRef(ctx, ref)
	if err != nil {
		return tenancy.Secret{}, fmt.Errorf("%w of tenant %q", err, id)
	}
	return secret, nil
}

// resolveSecretRef returns the secret that ref names.
func (db *DB) resolveSecretRef(ctx context.Context, ref string) (tenancy.Secret, error) {
	scheme, name, ok := strings.Cut(ref, ":")
	source := db.Secrets[scheme]
	if !ok || name == "" || source == nil || strings.Contains(ref, refMark) {
		return tenancy.Secret{}, fmt.Errorf("%w: no such scheme", ErrSecretRef)
	}
	ctx, cancel := context.WithTimeout(ctx, secretTimeout)
	defer cancel()
	secret, err := source(ctx, name)
	if err != nil {
		return tenancy.Secret{}, fmt.Errorf("%w %q: %w", ErrSecretRef, Shorten(ref), err)
	}
	if secret.IsZero() || strings.Contains(secret.Reveal(), refMark) {
		return tenancy.Secret{}, fmt.Errorf("%w %q: empty, or not a password", ErrSecretRef, Shorten(ref))
	}
	return secret, nil
}
