package keyring_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/pgtenancy/pgtenancy/registry/keyring"
)

func TestStartsAtOnceEndWithOneFileOfKeys(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys.json")
	const starts = 16
	var read [starts][]byte
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for i := range starts {
		wg.Go(func() {
			<-begin
			if err := keyring.CreateFile(path); err != nil {
				t.Error(err)
				return
			}
			data, err := keyring.ReadFile(path)
			if err != nil {
				t.Error(err)
			}
			read[i] = data
		})
	}
	close(begin)
	wg.Wait()
	for _, data := range read {
		if len(data) == 0 || !bytes.Equal(data, read[0]) {
			t.Error("two processes have different keys")
		}
	}
	ring, err := keyring.Parse(read[0])
	must(t, err)
	if ids := ring.IndexIDs(); len(ids) != 1 || ids[0] != 1 {
		t.Errorf("index keys %v, want one with ID 1", ids)
	}
	info, err := os.Stat(path)
	must(t, err)
	if info.Mode() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode())
	}
	left, err := os.ReadDir(filepath.Dir(path))
	must(t, err)
	if len(left) != 1 {
		t.Errorf("files left beside it: %v", left)
	}
}

func TestEachFileHasKeysOfItsOwn(t *testing.T) {
	t.Parallel()
	var files [2][]byte
	for i := range files {
		path := filepath.Join(t.TempDir(), "keys.json")
		must(t, keyring.CreateFile(path))
		var err error
		files[i], err = keyring.ReadFile(path)
		must(t, err)
	}
	if bytes.Equal(files[0], files[1]) {
		t.Error("two files have the same keys")
	}
}

func TestCreateFileChangesNoFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	kept := filepath.Join(dir, "kept.json")
	must(t, os.WriteFile(kept, []byte("an operator's"), 0o600))
	must(t, keyring.CreateFile(kept))
	if data, err := os.ReadFile(kept); err != nil || string(data) != "an operator's" {
		t.Errorf("the file is %q, %v", data, err)
	}
	must(t, os.Chmod(kept, 0o644))
	if err := keyring.CreateFile(kept); err == nil || !strings.Contains(err.Error(), "0600") {
		t.Errorf("a file that others can read: %v", err)
	}
	dangling := filepath.Join(dir, "dangling.json")
	must(t, os.Symlink(filepath.Join(dir, "nowhere.json"), dangling))
	if err := keyring.CreateFile(dangling); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a link to nothing: %v", err)
	}
	if err := keyring.CreateFile(filepath.Join(dir, "none", "keys.json")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a directory that is not there: %v", err)
	}
}

func TestNoKeysAreMadeWhereOthersCouldReplaceThem(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o777))
	err := keyring.CreateFile(filepath.Join(dir, "keys.json"))
	if err == nil || !strings.Contains(err.Error(), "directory") {
		t.Errorf("in a directory for everyone: %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("files left: %v", left)
	}
}
