//go:build unix

package keyring_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pgtenancy/pgtenancy/registry/keyring"
)

// readKeys reads a file of keys, and fails if that takes a minute.
func readKeys(t *testing.T, path string) error {
	t.Helper()
	read := make(chan error, 1)
	go func() {
		_, err := keyring.ReadFile(path)
		read <- err
	}()
	select {
	case err := <-read:
		return err
	case <-time.After(time.Minute):
		t.Fatalf("%s: not read within a minute", path)
		return nil
	}
}

// sub makes a directory with exactly that mode, under any umask.
func sub(t *testing.T, parent, name string, mode os.FileMode) string {
	t.Helper()
	dir := filepath.Join(parent, name)
	must(t, os.Mkdir(dir, 0o700))
	must(t, os.Chmod(dir, mode))
	return dir
}

func keysIn(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "keys.json")
	must(t, os.WriteFile(path, ringText(randomKey(), randomKey()), 0o600))
	return path
}

// The attacker has an account on the machine, and wants the service to read keys of its choice, or to hang.
func TestAttackerOnTheMachineCannotPutAKeyFileInPlace(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	good := sub(t, dir, "good", 0o755)
	must(t, readKeys(t, keysIn(t, good)))

	open := sub(t, dir, "open", 0o777)
	group := sub(t, dir, "group", 0o775)
	below := sub(t, sub(t, open, "below", 0o755), "it", 0o700)
	stray := keysIn(t, open)
	link := filepath.Join(good, "link.json")
	must(t, os.Symlink(stray, link))
	dirLink := filepath.Join(good, "dirlink")
	must(t, os.Symlink("../open", dirLink))
	linked := filepath.Join(open, "to-good.json") // a user who may replace the link chooses the file
	must(t, os.Symlink(filepath.Join(good, "keys.json"), linked))
	for what, path := range map[string]string{
		"a directory for everyone":            stray,
		"a directory for a group":             keysIn(t, group),
		"below a directory for everyone":      keysIn(t, below),
		"a link to such a directory's file":   link,
		"a link to such a directory":          filepath.Join(dirLink, "keys.json"),
		"a link in such a directory":          linked,
		"such a directory and back":           filepath.Join(open, "..", "group", "keys.json"),
		"such a directory and on through dot": filepath.Join(dir, "good") + "/./dirlink/./keys.json",
	} {
		if err := readKeys(t, path); err == nil || !strings.Contains(err.Error(), "directory") {
			t.Errorf("%s: %v", what, err)
		}
	}

	fifo := filepath.Join(good, "fifo")
	must(t, syscall.Mkfifo(fifo, 0o600))
	if err := readKeys(t, fifo); err == nil || !strings.Contains(err.Error(), "regular") {
		t.Errorf("a FIFO: %v", err)
	}
	loop := filepath.Join(good, "loop")
	must(t, os.Symlink("loop", loop))
	if err := readKeys(t, loop); !errors.Is(err, syscall.ELOOP) {
		t.Errorf("a loop of links: %v", err)
	}
	if err := readKeys(t, filepath.Join(good, "none", "keys.json")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
}

func TestAttackerWhoIsFirstInTmpDoesNotChooseTheKeys(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Log("only root can make files of another user: what follows needs it")
		return
	}
	const another = 65533
	dir := t.TempDir()
	tmp := sub(t, dir, "tmp", 0o777|os.ModeSticky)
	theirs := keysIn(t, tmp)
	must(t, os.Chown(theirs, another, another))
	folder := sub(t, tmp, "folder", 0o755)
	inside := keysIn(t, folder)
	must(t, os.Chown(folder, another, another))
	link := filepath.Join(tmp, "link.json")
	must(t, os.Symlink(keysIn(t, dir), link))
	must(t, os.Lchown(link, another, another))
	for _, path := range []string{theirs, inside, link} {
		if err := readKeys(t, path); err == nil {
			t.Errorf("%s of another user is read", filepath.Base(path))
		}
	}
	own := sub(t, dir, "own", 0o755)
	path := keysIn(t, own)
	must(t, os.Chown(path, another, another))
	if err := readKeys(t, path); err == nil || !strings.Contains(err.Error(), "another user") {
		t.Errorf("another user's file in a good directory: %v", err)
	}
}

// As the kubelet does it: the volume's directory is for everyone and sticky, "..data" leads to the directory of the
// day, and each file is a link through that.
func TestSecretThatKubernetesMountsIsRead(t *testing.T) {
	t.Parallel()
	volume := sub(t, t.TempDir(), "secret", 0o777|os.ModeSticky|os.ModeSetgid)
	path := keysIn(t, sub(t, volume, "..2026_11_30_10_00_00.123456789", 0o755))
	must(t, os.Chmod(path, 0o400))
	must(t, os.Symlink("..2026_11_30_10_00_00.123456789", filepath.Join(volume, "..data")))
	must(t, os.Symlink("..data/keys.json", filepath.Join(volume, "keys.json")))
	must(t, readKeys(t, filepath.Join(volume, "keys.json")))
}
