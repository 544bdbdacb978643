//go:build !unix

package keyring

import (
	"errors"
	"os"
)

// openKeyFile opens path, on a system without Unix's modes and owners.
func openKeyFile(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	return os.Open(path)
}

// syncDir does nothing: such a system does not open directories.
func syncDir(string) error { return nil }
