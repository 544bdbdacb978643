package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/registry"
)

// keyFile is the form of the file with the keys. In each list the first key is the current one; the others only read what
// was written with them.
type keyFile struct {
	Index []storedKey `json:"index"` // of the blind index over e-mails
	Seal  []storedKey `json:"seal"`  // of what is sealed in the registry
	Token tokenKey    `json:"token"`
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
	ring  *registry.Keyring
	token authn.Key
}

// loadKeys reads the file at path. If there is none, it makes one that only its owner can read.
func loadKeys(path string) (keys, error) {
	raw, err := readPrivate(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeKeys(path); err != nil {
			return keys{}, fmt.Errorf("make keys file: %w", err)
		}
		raw, err = readPrivate(path)
	}
	if err != nil {
		return keys{}, err
	}
	var file keyFile
	if err := json.Unmarshal(raw, &file); err != nil {
		return keys{}, fmt.Errorf("keys file %s is damaged", path) // err may quote it
	}
	return file.open()
}

func (f keyFile) open() (keys, error) {
	if len(f.Token.Seed) != ed25519.SeedSize {
		return keys{}, fmt.Errorf("keys file: token: the seed must have %d bytes", ed25519.SeedSize)
	}
	token, err := authn.NewEd25519Key(f.Token.ID, ed25519.NewKeyFromSeed(f.Token.Seed))
	if err != nil {
		return keys{}, err
	}
	ring, err := registry.NewKeyring(registry.KeyringConfig{Index: ring(f.Index), Seal: ring(f.Seal)})
	return keys{ring: ring, token: token}, err
}

func ring(stored []storedKey) []registry.Key {
	var list []registry.Key
	for _, k := range stored {
		list = append(list, registry.Key{ID: k.ID, Secret: k.Secret})
	}
	return list
}

// readPrivate reads a file that nobody but its owner may read. It looks at the very file that it reads.
func readPrivate(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("keys file %s has mode %#o: others can read it; set it to 0600", path, mode)
	}
	raw := make([]byte, info.Size())
	_, err = f.ReadAt(raw, 0)
	return raw, err
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
