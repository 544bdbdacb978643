// Package seal encrypts small values for storage with AES-256-GCM under named keys.
//
// A sealed value is bound to the place it is stored at by its additional data, so that a value copied to another row
// or column does not open. Its layout is
//
//	version (1 byte, 1) | key id (2 bytes, big endian) | nonce (12 bytes, random) | ciphertext and tag
//
// and the first three bytes are authenticated too. Random nonces allow 2^32 values under one key before the chance of
// a repeated nonce reaches 2^-32 (NIST SP 800-38D, section 8.3).
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	version    = 1
	headerSize = 3

	// KeySize is the size of a key's secret in bytes.
	KeySize = 32
)

var (
	// ErrKey is returned by Open for a value that was sealed under a key that is not in the box.
	ErrKey = errors.New("seal: unknown key")

	// ErrOpen is returned by Open for a value that was altered, moved, or never sealed.
	ErrOpen = errors.New("seal: value does not open")
)

// Key is a named AES-256 key.
type Key struct {
	ID     int16
	Secret []byte
}

// Box seals under its first key and opens under any of its keys. It is safe for concurrent use.
type Box struct {
	current int16
	keys    map[int16]cipher.AEAD
}

// New returns a Box of keys, which must not be empty. Each must be KeySize bytes with an ID of its own, 1 or more.
func New(keys []Key) (*Box, error) {
	if len(keys) == 0 {
		return nil, errors.New("seal: no key")
	}
	b := &Box{current: keys[0].ID, keys: make(map[int16]cipher.AEAD, len(keys))}
	for _, k := range keys {
		if err := b.add(k); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func (b *Box) add(k Key) error {
	if err := CheckKey(k); err != nil {
		return err
	}
	if len(k.Secret) != KeySize {
		return fmt.Errorf("seal: key %d: must be %d bytes", k.ID, KeySize)
	}
	if _, ok := b.keys[k.ID]; ok {
		return fmt.Errorf("seal: key %d: given twice", k.ID)
	}
	block, err := aes.NewCipher(k.Secret)
	if err != nil {
		return fmt.Errorf("seal: key %d: %w", k.ID, err)
	}
	if b.keys[k.ID], err = cipher.NewGCMWithRandomNonce(block); err != nil {
		return fmt.Errorf("seal: key %d: %w", k.ID, err)
	}
	return nil
}

// CheckKey refuses a key that cannot be a good one: no positive ID, fewer than KeySize bytes, or one byte repeated,
// as an unset configuration leaves it. The error does not hold the secret.
func CheckKey(k Key) error {
	if k.ID < 1 {
		return fmt.Errorf("seal: key %d: id must be positive", k.ID)
	}
	if len(k.Secret) < KeySize {
		return fmt.Errorf("seal: key %d: must be at least %d bytes", k.ID, KeySize)
	}
	for _, c := range k.Secret {
		if c != k.Secret[0] {
			return nil
		}
	}
	return fmt.Errorf("seal: key %d: must be random", k.ID)
}

// Seal encrypts plain under the current key and binds it to place.
func (b *Box) Seal(plain []byte, place string) []byte {
	header := make([]byte, headerSize, headerSize+b.keys[b.current].Overhead()+len(plain))
	header[0] = version
	binary.BigEndian.PutUint16(header[1:], uint16(b.current)) //nolint:gosec // ids are positive
	//nolint:gosec // the nonce is random: this AEAD makes its own
	return b.keys[b.current].Seal(header, nil, plain, additional(header, place))
}

// Current reports whether sealed names the key that Seal uses now. It does not say whether it opens.
func (b *Box) Current(sealed []byte) bool {
	return len(sealed) >= headerSize && sealed[0] == version && binary.BigEndian.Uint16(sealed[1:]) == uint16(b.current) //nolint:gosec // ids are positive
}

// Open decrypts a value that was sealed for place. It returns ErrKey or ErrOpen; a nil Box has no key.
func (b *Box) Open(sealed []byte, place string) ([]byte, error) {
	if b == nil {
		return nil, ErrKey
	}
	if len(sealed) < headerSize || sealed[0] != version {
		return nil, ErrOpen
	}
	header, body := sealed[:headerSize], sealed[headerSize:]
	id := int16(binary.BigEndian.Uint16(header[1:])) //nolint:gosec // a negative one is no key
	key, ok := b.keys[id]
	if !ok {
		return nil, fmt.Errorf("%w %d", ErrKey, id)
	}
	plain, err := key.Open(nil, nil, body, additional(header, place))
	if err != nil {
		return nil, ErrOpen
	}
	return plain, nil
}

func additional(header []byte, place string) []byte {
	return append(append(make([]byte, 0, headerSize+len(place)), header[:headerSize]...), place...)
}
