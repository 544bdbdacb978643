package seal_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/pgtenancy/pgtenancy/internal/seal"
)

func key(id int16, first byte) seal.Key {
	secret := make([]byte, seal.KeySize)
	for i := range secret {
		secret[i] = first + byte(i)
	}
	return seal.Key{ID: id, Secret: secret}
}

func box(t testing.TB, keys ...seal.Key) *seal.Box {
	t.Helper()
	b, err := seal.New(keys)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestOpenReturnsWhatWasSealed(t *testing.T) {
	t.Parallel()
	b := box(t, key(1, 10))
	for _, plain := range []string{"", "x", strings.Repeat("long ", 1000)} {
		sealed := b.Seal([]byte(plain), "t|1|c")
		got, err := b.Open(sealed, "t|1|c")
		if err != nil || string(got) != plain {
			t.Fatalf("Open = %d bytes, %v; want %d bytes", len(got), err, len(plain))
		}
		if len(plain) > 1 && bytes.Contains(sealed, []byte(plain)) {
			t.Fatal("the sealed value holds the plain one")
		}
	}
}

func TestSealNeverGivesTheSameValueTwice(t *testing.T) {
	t.Parallel()
	b := box(t, key(1, 10))
	seen := make(map[string]bool)
	for range 1000 {
		s := string(b.Seal([]byte("same"), "same"))
		if seen[s] {
			t.Fatal("a nonce was repeated")
		}
		seen[s] = true
	}
}

func TestSealedValueMovedToAnotherPlaceDoesNotOpen(t *testing.T) {
	t.Parallel()
	b := box(t, key(1, 10))
	sealed := b.Seal([]byte("secret"), "tenants|a|password")
	for _, place := range []string{"tenants|b|password", "tenants|a|data", ""} {
		if _, err := b.Open(sealed, place); !errors.Is(err, seal.ErrOpen) {
			t.Errorf("Open at %q: %v, want ErrOpen", place, err)
		}
	}
}

func TestAnyAlteredByteIsRefused(t *testing.T) {
	t.Parallel()
	b := box(t, key(1, 10), key(2, 90))
	sealed := b.Seal([]byte("secret"), "p")
	for i := range sealed {
		for _, flip := range []byte{1, 0x80} {
			altered := bytes.Clone(sealed)
			altered[i] ^= flip
			if _, err := b.Open(altered, "p"); err == nil {
				t.Errorf("byte %d altered by %#x: opened", i, flip)
			}
		}
	}
	for n := range sealed {
		if _, err := b.Open(sealed[:n], "p"); err == nil {
			t.Errorf("cut to %d bytes: opened", n)
		}
	}
	// A value must not open under another key's id even if that key is in the box.
	altered := bytes.Clone(sealed)
	altered[2] = 2
	if _, err := b.Open(altered, "p"); !errors.Is(err, seal.ErrOpen) {
		t.Errorf("key id changed: %v, want ErrOpen", err)
	}
}

func TestOldKeysStillOpenAndTheFirstSeals(t *testing.T) {
	t.Parallel()
	old := box(t, key(1, 10)).Seal([]byte("secret"), "p")
	both := box(t, key(2, 90), key(1, 10))
	if got, err := both.Open(old, "p"); err != nil || string(got) != "secret" {
		t.Fatalf("old key: %q, %v", got, err)
	}
	if _, err := box(t, key(2, 90)).Open(both.Seal([]byte("x"), "p"), "p"); err != nil {
		t.Fatalf("the first key does not seal: %v", err)
	}
	if _, err := box(t, key(2, 90)).Open(old, "p"); !errors.Is(err, seal.ErrKey) {
		t.Fatalf("key gone: %v, want ErrKey", err)
	}
}

func TestNewRefusesBadKeys(t *testing.T) {
	t.Parallel()
	short, long, zero, same := key(1, 10), key(1, 10), key(1, 10), key(1, 10)
	short.Secret = short.Secret[:31]
	long.Secret = append(long.Secret, 1)
	zero.Secret = make([]byte, seal.KeySize)
	same.Secret = bytes.Repeat([]byte("k"), seal.KeySize)
	for name, keys := range map[string][]seal.Key{
		"none": nil, "short": {short}, "long": {long}, "zero": {zero}, "one byte repeated": {same},
		"empty": {{ID: 1}}, "id 0": {key(0, 10)}, "negative id": {key(-1, 10)}, "id twice": {key(1, 10), key(1, 90)},
	} {
		if _, err := seal.New(keys); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzOpenNeverPanics(f *testing.F) {
	b := box(f, key(1, 10))
	f.Add(b.Seal([]byte("secret"), "p"))
	f.Add([]byte{1, 0, 1})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, sealed []byte) {
		if plain, err := b.Open(sealed, "q"); err == nil {
			t.Fatalf("opened to %d bytes", len(plain))
		}
	})
}
