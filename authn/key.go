package authn

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// MinHMACKeyLength is the shortest secret NewHMACKey takes, in bytes: as long as the hash (RFC 7518 section 3.2).
const MinHMACKeyLength = 32

// maxKeyIDLength keeps key ids, which every token carries, short.
const maxKeyIDLength = 64

// Key signs or verifies tokens. Make one with [NewEd25519Key], [NewEd25519PublicKey] or [NewHMACKey]; the zero Key is
// refused everywhere. A Key prints as its id and algorithm under every fmt verb, in slog and in JSON.
type Key struct {
	id     string
	method jwt.SigningMethod

	// Functions that return what method wants, because fmt looks into neither: where a Key stands in an unexported
	// field, fmt cannot call Format, and goes through pointers for verbs that it thinks wrong.
	sign   func() any // nil: the key only verifies
	verify func() any
}

// NewEd25519Key returns a key that signs and verifies with private. id is the "kid" of its tokens: 1 to 64 letters,
// digits, '.', '_' or '-', and never used again for another key.
func NewEd25519Key(id string, private ed25519.PrivateKey) (Key, error) {
	if err := checkKeyID(id); err != nil {
		return Key{}, err
	}
	if len(private) != ed25519.PrivateKeySize || allZero(private.Seed()) {
		return Key{}, fmt.Errorf("authn: key %q: not an Ed25519 private key", id)
	}
	// A private key is seed and public key. Signing with a public key that is not the seed's gives the seed away.
	if !ed25519.NewKeyFromSeed(private.Seed()).Equal(private) {
		return Key{}, fmt.Errorf("authn: key %q: public half does not belong to the private one", id)
	}
	private = slices.Clone(private)
	public := ed25519.PublicKey(private[ed25519.PrivateKeySize-ed25519.PublicKeySize:])
	return Key{strings.Clone(id), jwt.SigningMethodEdDSA, func() any { return private }, func() any { return public }}, nil
}

// NewEd25519PublicKey returns a key that verifies signatures of public's private key. id is the id that the
// private key has there.
func NewEd25519PublicKey(id string, public ed25519.PublicKey) (Key, error) {
	if err := checkKeyID(id); err != nil {
		return Key{}, err
	}
	if len(public) != ed25519.PublicKeySize || allZero(public) {
		return Key{}, fmt.Errorf("authn: key %q: not an Ed25519 public key", id)
	}
	public = slices.Clone(public)
	return Key{strings.Clone(id), jwt.SigningMethodEdDSA, nil, func() any { return public }}, nil
}

// NewHMACKey returns a key that signs and verifies with HS256. secret must be at least MinHMACKeyLength random bytes. A
// holder that can verify with such a key can sign with it too.
func NewHMACKey(id string, secret []byte) (Key, error) {
	if err := checkKeyID(id); err != nil {
		return Key{}, err
	}
	if len(secret) < MinHMACKeyLength || allZero(secret) {
		return Key{}, fmt.Errorf("authn: key %q: secret must be at least %d random bytes", id, MinHMACKeyLength)
	}
	secret = slices.Clone(secret)
	key := func() any { return secret }
	return Key{strings.Clone(id), jwt.SigningMethodHS256, key, key}, nil
}

// ID returns the key's id.
func (k Key) ID() string { return k.id }

// Algorithm returns "EdDSA" or "HS256".
func (k Key) Algorithm() string {
	if k.zero() {
		return ""
	}
	return k.method.Alg()
}

// Public returns the public half of an Ed25519 key. An HMAC key has none.
func (k Key) Public() (public ed25519.PublicKey, ok bool) {
	if k.zero() {
		return nil, false
	}
	public, ok = k.verify().(ed25519.PublicKey)
	return slices.Clone(public), ok
}

// String returns the key's id and algorithm.
func (k Key) String() string { return fmt.Sprintf("authn.Key(%s %s)", k.id, k.Algorithm()) }

// Format implements [fmt.Formatter]: every verb prints String.
func (k Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) }

// LogValue implements [slog.LogValuer].
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalText implements encoding.TextMarshaler, which encoding/json uses too.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

func (k Key) zero() bool { return k.method == nil }

func checkKeyID(id string) error {
	valid := len(id) > 0 && len(id) <= maxKeyIDLength
	for _, c := range []byte(id) {
		valid = valid && ('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
			c == '.' || c == '_' || c == '-')
	}
	if !valid {
		return errors.New("authn: key id must be 1 to 64 letters, digits, '.', '_' or '-'")
	}
	return nil
}

func allZero(b []byte) bool {
	return !slices.ContainsFunc(b, func(c byte) bool { return c != 0 })
}
