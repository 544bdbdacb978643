package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/authn/jwks"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
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
	pgtest.Wait(t, "every client ends", starts.Wait)
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

// A second service that has no key of its own accepts the program's tokens by the set that it publishes.
func TestAnotherServiceAcceptsTokensByThePublishedKeys(t *testing.T) {
	t.Parallel()
	r := start(t, setup{prefix: "jwks_"})
	s := r.register(t, "keys")
	other, err := jwks.NewRemote(jwks.RemoteConfig{
		URL: r.url + "/.well-known/jwks.json", Issuer: audience, Audience: audience,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if id, err := other.Verify(t.Context(), s.AccessToken); err != nil || id.Tenant != s.Church.ID ||
		id.Subject != s.Admin.ID {
		t.Errorf("%+v, %v", id, err)
	}
	status, body, err := r.as("").send(t.Context(), http.MethodGet, "/.well-known/jwks.json", nil)
	if err != nil || status != http.StatusOK || bytes.Contains(body, []byte(`"d"`)) {
		t.Errorf("the set: %d %s, %v", status, body, err)
	}
}

func TestTokenKeyIsRotatedByTheFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys.json")
	if _, err := loadKeys(path); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var file keyFile
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	old, next := file.Token, tokenKey{ID: "2", Seed: random()}
	var tokens []string // the one signed in each state
	for state, keys := range [][]tokenKey{{old}, {old, next}, {next, old}, {next}} {
		file.Token, file.Tokens = keys[0], keys[1:]
		raw, err := json.Marshal(file)
		if err != nil {
			t.Fatal(err)
		}
		k, err := openKeys(raw)
		if err != nil {
			t.Fatal(err)
		}
		issuer, err := authn.NewIssuer(authn.IssuerConfig{Key: k.token, Issuer: audience, Audience: audience})
		if err != nil {
			t.Fatal(err)
		}
		token, _, err := issuer.Issue(authn.Identity{Subject: "a", Tenant: "t", Session: "s"})
		if err != nil {
			t.Fatal(err)
		}
		verifier, err := authn.NewVerifier(authn.VerifierConfig{Keys: k.tokens, Issuer: audience, Audience: audience})
		if err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, token)
		for made, token := range tokens {
			_, err := verifier.Verify(t.Context(), token)
			if gone := state == 3 && made < 2; gone != errors.Is(err, authn.ErrTokenInvalid) || !gone && err != nil {
				t.Errorf("in state %d, a token of state %d: %v", state, made, err)
			}
		}
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
		{[]string{"-domain", "example.com"}, nil, true},
		{[]string{"-domain", "https://example.com"}, nil, false},
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
