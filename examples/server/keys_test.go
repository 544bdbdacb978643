package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestKeysAreMadeOnceAndForTheOwnerAlone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys.json")
	var starts sync.WaitGroup
	for range 8 { // processes that start at once
		starts.Go(func() {
			if _, err := loadKeys(path); err != nil {
				t.Error(err)
			}
		})
	}
	starts.Wait()
	first, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := loadKeys(path); err != nil {
		t.Error(err)
	}
	if again, _ := os.ReadFile(path); !bytes.Equal(first, again) {
		t.Error("the keys were made again")
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("files left: %v", left)
	}
}

func TestKeysThatOthersCanReadAreRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys.json")
	if _, err := loadKeys(path); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o660} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := loadKeys(path); err == nil || !strings.Contains(err.Error(), "0600") {
			t.Errorf("mode %v: %v", mode, err)
		}
	}
}

func TestDamagedKeysAreNotQuoted(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"", "{secret", `{"token":{"seed":"c2VjcmV0"}}`, `{"token":{"id":"1","seed":"secret"}}`} {
		path := filepath.Join(t.TempDir(), "keys.json")
		if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := loadKeys(path); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", body, err)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args []string
		env  map[string]string
		ok   bool
	}{
		{nil, nil, true},
		{[]string{"-addr", ":0"}, map[string]string{"STRIPE_API_KEY": "k", "STRIPE_API_BASE": "b"}, true},
		{[]string{"extra"}, nil, false},
		{[]string{"-nothing"}, nil, false},
		{nil, map[string]string{"STRIPE_API_BASE": "b"}, false},
	} {
		p := process{env: func(name string) string { return test.env[name] }, stdout: &buffer{}, stderr: &buffer{}}
		o, err := parseOptions(test.args, p)
		if (err == nil) != test.ok {
			t.Errorf("%v %v: %v", test.args, test.env, err)
		}
		if err == nil && o.keysFile != "pgtenancy-keys.json" {
			t.Errorf("keys file %q", o.keysFile)
		}
	}
}
