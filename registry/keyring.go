package registry

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"

	"github.com/pgtenancy/pgtenancy/internal/seal"
)

const redacted = "[redacted]"

// Key is a named secret of at least 32 random bytes. It prints as its ID alone.
type Key struct {
	ID     int16 // 1 or more, unique within its ring, never used again for another secret
	Secret []byte
}

// Format implements [fmt.Formatter]: under every verb the secret is left out.
func (k Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) }

// String names the key by its ID.
func (k Key) String() string { return fmt.Sprintf("key %d %s", k.ID, redacted) }

// LogValue implements [slog.LogValuer].
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalText implements encoding.TextMarshaler, which encoding/json uses too.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// KeyringConfig configures a [Keyring]. The first key of each list is current: it is what new values are written
// under. The others only read. No secret may be in it twice.
//
// To replace a key, add the new one to every process, put it first once every process has it, call [Registry.Rekey],
// and only then take the old one away.
type KeyringConfig struct {
	Index []Key // HMAC-SHA-256 for the blind index and the servers' addresses; 32 bytes or more
	Seal  []Key // AES-256-GCM for sealing; exactly 32 bytes

	// Sealer seals in place of the first of Seal, which may then be empty: what is in it opens what it has sealed before.
	Sealer Sealer
}

// Keyring holds the keys that keep the registry's dump from giving anything away: e-mails are found by a keyed hash,
// the blind index, and e-mails, passwords and session secrets are sealed. Nor does the registry decide by itself where
// passwords go: the addresses of servers are signed. It is safe for concurrent use.
type Keyring struct {
	index   []Key // ordered by ID, so that all processes write index rows in one order
	signing Key   // the current one of index
	box     *seal.Box
	sealer  Sealer // nil: box seals
}

// NewKeyring checks the keys and returns a ring of them. Its error names every violation, and never a secret.
func NewKeyring(cfg KeyringConfig) (*Keyring, error) {
	var errs []error
	if len(cfg.Index) == 0 {
		errs = append(errs, errors.New("registry: KeyringConfig.Index: must hold a key"))
	}
	ids := make(map[int16]bool)
	for _, k := range cfg.Index {
		if err := seal.CheckKey(seal.Key(k)); err != nil {
			errs = append(errs, fmt.Errorf("registry: KeyringConfig.Index: %w", err))
		}
		if ids[k.ID] {
			errs = append(errs, fmt.Errorf("registry: KeyringConfig.Index: key %d: given twice", k.ID))
		}
		ids[k.ID] = true
	}
	sealing := make([]seal.Key, len(cfg.Seal))
	for i, k := range cfg.Seal {
		sealing[i] = seal.Key(k)
	}
	box, err := seal.New(sealing)
	if err != nil && (cfg.Sealer == nil || len(sealing) > 0) {
		errs = append(errs, fmt.Errorf("registry: KeyringConfig.Seal: %w", err))
	}
	if repeatsSecret(slices.Concat(cfg.Index, cfg.Seal)) {
		errs = append(errs, errors.New("registry: KeyringConfig: two keys have one secret"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &Keyring{index: cloneKeys(cfg.Index), signing: cloneKeys(cfg.Index[:1])[0], box: box, sealer: cfg.Sealer}, nil
}

// Format implements [fmt.Formatter]: no key is printed.
func (*Keyring) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "keyring "+redacted) }

// blind is one value of the blind index.
type blind struct {
	kid   int16
	value []byte
}

// blind returns e's values under every key of the ring, ordered by key.
func (k *Keyring) blind(e Email) []blind {
	values := make([]blind, len(k.index))
	for i, key := range k.index {
		mac := hmac.New(sha256.New, key.Secret)
		_, _ = io.WriteString(mac, "v1|admin_email_index|email|"+e.identity())
		values[i] = blind{kid: key.ID, value: mac.Sum(nil)}
	}
	return values
}

func repeatsSecret(keys []Key) bool {
	for i, k := range keys {
		for _, other := range keys[:i] {
			if len(k.Secret) > 0 && bytes.Equal(k.Secret, other.Secret) {
				return true
			}
		}
	}
	return false
}

func cloneKeys(keys []Key) []Key {
	clones := make([]Key, len(keys))
	for i, k := range keys {
		clones[i] = Key{ID: k.ID, Secret: bytes.Clone(k.Secret)}
	}
	slices.SortFunc(clones, func(a, b Key) int { return int(a.ID) - int(b.ID) })
	return clones
}
