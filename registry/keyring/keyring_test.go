package keyring_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/pgtenancy/pgtenancy/registry/keyring"
)

func key(id int16) keyring.Key {
	secret := bytes.Repeat([]byte{byte(id)}, 31)
	return keyring.Key{ID: id, Secret: append(secret, 0xff)}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestNewNamesEveryViolationAndNoSecret(t *testing.T) {
	t.Parallel()
	secret := []byte("short secret")
	for what, c := range map[string]struct {
		cfg  keyring.Config
		want []string
	}{
		"empty": {keyring.Config{}, []string{"Config.Index: must hold", "Config.Seal: "}},
		"short": {
			keyring.Config{Index: []keyring.Key{{1, secret}}, Seal: []keyring.Key{{2, secret}}},
			[]string{"Index: seal: key 1: must be at least 32", "Seal: seal: key 2: must be at least 32"},
		},
		"zero": {
			keyring.Config{Index: []keyring.Key{{1, make([]byte, 32)}}, Seal: []keyring.Key{key(2)}},
			[]string{"Index: seal: key 1: must be random"},
		},
		"id 0": {
			keyring.Config{Index: []keyring.Key{key(0)}, Seal: []keyring.Key{key(2)}},
			[]string{"id must be positive"},
		},
		"id twice": {
			keyring.Config{Index: []keyring.Key{key(1), {1, key(3).Secret}}, Seal: []keyring.Key{key(2)}},
			[]string{"key 1: given twice"},
		},
		"secret twice": {
			keyring.Config{Index: []keyring.Key{key(1)}, Seal: []keyring.Key{{2, key(1).Secret}}},
			[]string{"two keys have one secret"},
		},
		"long sealing key": {
			keyring.Config{Index: []keyring.Key{key(1)}, Seal: []keyring.Key{{2, bytes.Repeat([]byte("ab"), 32)}}},
			[]string{"Seal: seal: key 2: must be 32 bytes"},
		},
	} {
		_, err := keyring.New(c.cfg)
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", what, err, want)
			}
		}
		if err != nil && strings.Contains(err.Error(), string(secret)) {
			t.Errorf("%s: the error holds a secret", what)
		}
	}
}
