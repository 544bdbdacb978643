package authn

import (
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

const (
	saltLength    = 16 // RFC 9106 section 3.1
	minSaltLength = 8
	keyLength     = 32

	// Limits of a stored hash: a writer of one row must not be able to take all memory.
	maxMemory  = 64 << 10 // KiB
	maxTime    = 10
	maxThreads = 4

	maxHashLength = 256
)

// params are what a hash costs.
type params struct {
	memory  uint32 // KiB
	time    uint32
	threads uint8
}

// valid reports whether argon2 runs with p as it is written (it raises memory silently to 8 KiB a thread), and within
// our limits.
func (p params) valid() bool {
	return p.threads >= 1 && p.threads <= maxThreads && p.time >= 1 && p.time <= maxTime &&
		p.memory >= 8*uint32(p.threads) && p.memory <= maxMemory
}

// hash is a stored password hash.
type hash interface {
	match(password string) bool // one run of the KDF
	weaker(than params) bool
}

// parseHash returns the hash that encoded stands for, or ErrInvalidHash.
func parseHash(encoded string) (hash, error) {
	if h, ok := parseArgon2(encoded); ok {
		return h, nil
	}
	if h, ok := parseBcrypt(encoded); ok {
		return h, nil
	}
	return nil, ErrInvalidHash
}

// argon2Hash is an argon2id hash.
type argon2Hash struct {
	params
	salt, key []byte
}

// parseArgon2 reads a PHC string (github.com/P-H-C/phc-string-format) in the spelling that String writes, and no other.
func parseArgon2(s string) (argon2Hash, bool) {
	fields := strings.Split(s, "$")
	if len(s) > maxHashLength || len(fields) != 6 {
		return argon2Hash{}, false
	}
	var h argon2Hash
	// What these take too liberally, or leave half done, does not print as s.
	_, _ = fmt.Sscanf(fields[3], "m=%d,t=%d,p=%d", &h.memory, &h.time, &h.threads)
	h.salt, _ = base64.RawStdEncoding.DecodeString(fields[4])
	h.key, _ = base64.RawStdEncoding.DecodeString(fields[5])
	ok := h.valid() && len(h.salt) >= minSaltLength && len(h.key) == keyLength && h.String() == s
	return h, ok
}

// String returns the hash as a PHC string.
func (h argon2Hash) String() string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memory, h.time, h.threads,
		base64.RawStdEncoding.EncodeToString(h.salt), base64.RawStdEncoding.EncodeToString(h.key))
}

func (h argon2Hash) derive(password string) []byte {
	return argon2.IDKey([]byte(password), h.salt, h.time, h.memory, h.threads, keyLength)
}

func (h argon2Hash) match(password string) bool {
	return subtle.ConstantTimeCompare(h.derive(password), h.key) == 1
}

func (h argon2Hash) weaker(than params) bool {
	return h.memory < than.memory || h.time < than.time || len(h.salt) < saltLength
}
