package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/authn/jwks"
	"github.com/pgtenancy/pgtenancy/registry/keyring"
)

// keyFile is the form of the file with the keys; index and seal are as keyring.Parse takes them.
//
// It is read at the start. To rotate the token key, restart every process after each of three changes: put a new one
// into tokens; a quarter of an hour later, when every reader of the JWK set knows it, swap it with token; another
// quarter of an hour and 30 s later, when what the old one signed has expired, take that away.
type keyFile struct {
	Index  []storedKey `json:"index"`            // of the blind index over e-mails
	Seal   []storedKey `json:"seal"`             // of sealed values in the registry
	Token  tokenKey    `json:"token"`            // signs access tokens
	Tokens []tokenKey  `json:"tokens,omitempty"` // the former or the next signing key: they only verify
}

type storedKey struct {
	ID     int16  `json:"id"`
	Secret []byte `json:"secret"`
}

type tokenKey struct {
	ID   string `json:"id"`
	Seed []byte `json:"seed"` // Ed25519
}

// keys are the keys ready for use.
type keys struct {
	ring   *keyring.Keyring
	token  authn.Key
	tokens []authn.Key  // token first
	public http.Handler // serves the public halves of tokens
}

// loadKeys reads the file at path. If there is none, it makes a file that only its owner can read.
func loadKeys(path string) (keys, error) {
	raw, err := keyring.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeKeys(path); err != nil {
			return keys{}, fmt.Errorf("make keys file: %w", err)
		}
		raw, err = keyring.ReadFile(path)
	}
	if err != nil {
		return keys{}, err
	}
	k, err := openKeys(raw)
	if err != nil {
		return keys{}, fmt.Errorf("keys file %s: %w", path, err)
	}
	return k, nil
}

func openKeys(raw []byte) (k keys, err error) {
	if k.ring, err = keyring.Parse(raw); err != nil {
		return keys{}, err
	}
	var file keyFile
	if err := json.Unmarshal(raw, &file); err != nil {
		return keys{}, errors.New("damaged") // err may quote it
	}
	for _, t := range append([]tokenKey{file.Token}, file.Tokens...) {
		if len(t.Seed) != ed25519.SeedSize {
			return keys{}, fmt.Errorf("token: the seed must have %d bytes", ed25519.SeedSize)
		}
		key, err := authn.NewEd25519Key(t.ID, ed25519.NewKeyFromSeed(t.Seed))
		if err != nil {
			return keys{}, err
		}
		k.tokens = append(k.tokens, key)
	}
	k.token = k.tokens[0]
	if k.public, err = jwks.NewHandler(jwks.HandlerConfig{Keys: k.tokens}); err != nil {
		return keys{}, err
	}
	return k, nil
}

// makeKeys writes a whole file under another name first and links it to path, which fails if path is there already. So
// the file is never half there, and of two processes that start at once both use the keys of the first.
func makeKeys(path string) error {
	body, err := json.MarshalIndent(keyFile{
		Index: []storedKey{{ID: 1, Secret: random()}},
		Seal:  []storedKey{{ID: 1, Secret: random()}},
		Token: tokenKey{ID: "1", Seed: random()},
	}, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".keys-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(append(body, '\n'))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

func random() []byte {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	return secret
}
