package keyring

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"

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

// Config configures a [Keyring]. The first key of each list is current: it is what new values are written
// under. The others only read. No secret may be in it twice.
//
// To replace a key, add the new one to every process, put it first once every process has it, call
// [github.com/pgtenancy/pgtenancy/registry.Registry.Rekey], and only then take the old one away.
type Config struct {
	// Index has keys of 32 bytes or more: HMAC-SHA-256 for the blind index of e-mails and for the servers' addresses. It
	// may be empty if no tenant has an admin with an e-mail. Then the first of Seal, or a key derived from it, takes its
	// place for the addresses.
	Index []Key

	// Seal has keys of exactly 32 bytes: AES-256-GCM for sealing.
	Seal []Key

	// Sealer seals in place of the first of Seal, which may then be empty: its keys still open what they sealed before.
	Sealer Sealer
}

// Keyring holds the keys that keep the registry's dump from giving anything away: e-mails are found by a keyed hash,
// the blind index, and e-mails, passwords and session secrets are sealed. Nor does the registry decide by itself where
// passwords go: the addresses of servers are signed. It is safe for concurrent use.
type Keyring struct {
	index   []Key    // ordered by ID, so that all processes write index rows in one order
	signers []signer // not empty; the first signs, all verify
	box     *seal.Box
	sealer  Sealer // nil: box seals
}

// New checks the keys and returns a ring of them. Its error names every violation, and never a secret.
func New(cfg Config) (*Keyring, error) {
	var errs []error
	if len(cfg.Index)+len(cfg.Seal) == 0 {
		errs = append(errs, errors.New("keyring: Config.Index: must hold a key, or Seal must"))
	}
	ids := make(map[int16]bool)
	for _, k := range cfg.Index {
		if err := seal.CheckKey(seal.Key(k)); err != nil {
			errs = append(errs, fmt.Errorf("keyring: Config.Index: %w", err))
		}
		if ids[k.ID] {
			errs = append(errs, fmt.Errorf("keyring: Config.Index: key %d: given twice", k.ID))
		}
		ids[k.ID] = true
	}
	sealing := make([]seal.Key, len(cfg.Seal))
	for i, k := range cfg.Seal {
		sealing[i] = seal.Key(k)
	}
	box, err := seal.New(sealing)
	if err != nil && (cfg.Sealer == nil || len(sealing) > 0) {
		errs = append(errs, fmt.Errorf("keyring: Config.Seal: %w", err))
	}
	if repeatsSecret(slices.Concat(cfg.Index, cfg.Seal)) {
		errs = append(errs, errors.New("keyring: Config: two keys have one secret"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &Keyring{index: cloneKeys(cfg.Index), signers: signers(cfg), box: box, sealer: cfg.Sealer}, nil
}

// Format implements [fmt.Formatter]: no key is printed.
func (*Keyring) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "keyring "+redacted) }

// MAC is the HMAC-SHA-256 of a text under one index key.
type MAC struct {
	KeyID int16
	Sum   []byte `json:"-"`
}

// Format implements [fmt.Formatter]: under every verb a MAC shows the ID of its key.
func (m MAC) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "MAC under key %d", m.KeyID) }

// MACs returns the MAC of text under every index key of the ring, ordered by key ID; none if there is no such key.
func (k *Keyring) MACs(text string) []MAC {
	macs := make([]MAC, len(k.index))
	for i, key := range k.index {
		macs[i] = MAC{KeyID: key.ID, Sum: key.mac(text)}
	}
	return macs
}

// Sign returns a signature of text under the current index key, or under one derived from the current key of Seal if
// there is none. It is no sealed value, so that a router can check one without a key service.
func (k *Keyring) Sign(text string) string { return k.signers[0].sign(text) }

// Verify reports whether signature is that of text under a key of the ring.
func (k *Keyring) Verify(text, signature string) bool {
	name, _, _ := strings.Cut(signature, ":")
	for _, s := range k.signers {
		if s.name == name {
			return hmac.Equal([]byte(signature), []byte(s.sign(text)))
		}
	}
	return false
}

// signer is a key that signs, under a name that is unique in its ring.
type signer struct {
	name string
	key  Key
}

// signers returns the index keys, and a key derived from each of Seal, in the order of cfg.
func signers(cfg Config) []signer {
	var list []signer
	for _, key := range cfg.Index {
		list = append(list, signer{strconv.Itoa(int(key.ID)), Key{Secret: bytes.Clone(key.Secret)}})
	}
	for _, key := range cfg.Seal {
		list = append(list, signer{"seal" + strconv.Itoa(int(key.ID)), Key{Secret: key.mac("v1|keyring|signing key")}})
	}
	return list
}

func (s signer) sign(text string) string {
	return s.name + ":" + base64.RawStdEncoding.EncodeToString(s.key.mac(text))
}

// IndexIDs returns the IDs of the index keys, in order.
func (k *Keyring) IndexIDs() []int16 {
	ids := make([]int16, len(k.index))
	for i, key := range k.index {
		ids[i] = key.ID
	}
	return ids
}

func (k Key) mac(text string) []byte {
	mac := hmac.New(sha256.New, k.Secret)
	_, _ = io.WriteString(mac, text)
	return mac.Sum(nil)
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
