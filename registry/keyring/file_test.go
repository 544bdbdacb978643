package keyring_test

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/registry/keyring"
)

func randomKey() []byte {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret)
	return secret
}

// ringText is a file of two keys.
func ringText(index, sealing []byte) []byte {
	encode := base64.StdEncoding.EncodeToString
	return []byte(`{"index": [{"id": 1, "secret": "` + encode(index) + `"}], "seal": [{"id": 2, "secret": "` +
		encode(sealing) + `"}], "token": {"id": "x"}}`)
}

func TestKeyFilesThatAreTooOpenAreRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys.json")
	must(t, os.WriteFile(path, ringText(randomKey(), randomKey()), 0o600))
	data, err := keyring.ReadFile(path)
	must(t, err)
	_, err = keyring.Parse(data)
	must(t, err)
	for _, mode := range []os.FileMode{0o640, 0o604, 0o620, 0o602, 0o610, 0o666, 0o777} {
		must(t, os.Chmod(path, mode))
		if _, err := keyring.ReadFile(path); err == nil || !strings.Contains(err.Error(), "0600") {
			t.Errorf("mode %#o: %v", mode, err)
		}
	}
	must(t, os.Chmod(path, 0o400))
	must(t, os.Chmod(filepath.Dir(path), 0o777))
	if _, err := keyring.ReadFile(path); err == nil || !strings.Contains(err.Error(), "directory") {
		t.Errorf("in a directory for everyone: %v", err)
	}
	must(t, os.Chmod(filepath.Dir(path), 0o777|os.ModeSticky))
	if _, err := keyring.ReadFile(path); err != nil {
		t.Errorf("in a directory like /tmp: %v", err)
	}
	if _, err := keyring.ReadFile(filepath.Dir(path)); err == nil {
		t.Error("a directory is read")
	}
	if _, err := keyring.ReadFile(path + ".missing"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	long := path + ".long"
	must(t, os.WriteFile(long, make([]byte, 64<<10+1), 0o600))
	if _, err := keyring.ReadFile(long); err == nil {
		t.Error("a file that is too long is read")
	}
}

func TestKeysThatAreTooWeakAreRefused(t *testing.T) {
	t.Parallel()
	sequence := make([]byte, 32)
	for i := range sequence {
		sequence[i] = byte(i * 7)
	}
	few := randomKey()
	for i := range few {
		few[i] &= 0x0f
	}
	for what, secret := range map[string][]byte{
		"a password":  []byte("correct horse battery staple, yes!"),
		"hexadecimal": []byte(hex.EncodeToString(randomKey())),
		"zeros":       make([]byte, 32),
		"a sequence":  sequence,
		"few bytes":   few[:31],
		"two bytes":   []byte(strings.Repeat("\x01\xff", 16)),
		"empty":       {},
		"short":       randomKey()[:31],
	} {
		for _, text := range [][]byte{ringText(secret, randomKey()), ringText(randomKey(), secret)} {
			ring, err := keyring.Parse(text)
			if err == nil || ring != nil {
				t.Errorf("%s is accepted", what)
			}
			if len(secret) > 0 && err != nil && strings.Contains(err.Error(), string(secret)) {
				t.Errorf("%s: the error holds the secret", what)
			}
		}
	}
	one := randomKey()
	if _, err := keyring.Parse(ringText(one, one)); err == nil {
		t.Error("one secret for two purposes is accepted")
	}
}

func FuzzParseKeyring(f *testing.F) {
	f.Add(ringText(randomKey(), randomKey()))
	for _, s := range []string{
		"", "{}", "[]", "null", `{"index":null,"seal":[]}`,
		`{"index":[{"id":99999,"secret":"AA=="}]}`, `{"index":[{"secret":"secret"}]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		ring, err := keyring.Parse(data)
		if (ring == nil) != (err != nil) {
			t.Fatalf("%v, %v", ring, err)
		}
		if err != nil || !json.Valid(data) {
			return
		}
		if _, err := registry.New(registry.Config{Keyring: ring}); err == nil || strings.Contains(err.Error(), "Keyring") {
			t.Fatalf("a ring that is no good: %v", err)
		}
	})
}
