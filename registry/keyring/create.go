package keyring

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// CreateFile makes a file of fresh keys, one of each list, with mode 0600, unless path is there already. It never
// changes a file: of processes that start at once, one makes the file and all use it. It returns nil only if [ReadFile]
// accepts what is at path then, and makes no file where ReadFile would refuse it. The file is on disk when it returns.
//
// Keep a copy of the file apart from the registry's backups: without it no password in the registry opens. Machines
// that share a registry need the same file, so call CreateFile on one of them and copy it, or make a secret of it;
// [github.com/pgtenancy/pgtenancy/registry.Registry.CheckKeys] notices another one as soon as there is an admin.
//
// The file system must have hard links. Errors hold the path and nothing of the keys.
func CreateFile(path string) error {
	if err := createFile(path); err != nil {
		return fmt.Errorf("keyring: create file %s: %w", path, err)
	}
	return nil
}

func createFile(path string) error {
	err := checkPath(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	body, err := freshKeys()
	if err != nil {
		return err
	}
	// A whole file is made under another name first and then linked, which fails if path is there: nobody reads half.
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".keys-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(body)
	if err := errors.Join(err, f.Sync(), f.Close(), checkPath(f.Name())); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return errors.Join(checkPath(path), syncDir(dir))
}

// checkPath reports whether ReadFile accepts what is at path.
func checkPath(path string) error {
	f, err := openKeyFile(path)
	if err != nil {
		return err
	}
	return f.Close()
}

// freshKeys returns what Parse takes: a random key for each list, with ID 1.
func freshKeys() ([]byte, error) {
	list := func() []keyText {
		secret := make([]byte, 32)
		_, _ = rand.Read(secret) // never fails
		return []keyText{{ID: 1, Secret: secret}}
	}
	body, err := json.MarshalIndent(map[string][]keyText{"index": list(), "seal": list()}, "", "  ")
	return append(body, '\n'), err
}
