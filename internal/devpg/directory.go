package devpg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const tempPrefix = "pgtenancy-devpg-"

// directory is where one server lives: its data, its socket, and a lock on the directory itself.
//
// The server inherits the lock's file, so the lock lasts as long as any process of the server does, however its parent
// ended. The holder of the lock therefore knows that every pid file in the directory is a leftover.
type directory struct {
	path      string
	temporary bool
	account   *account
	lock      *os.File
}

// openDirectory makes and locks the directory path, or a temporary one if path is empty. ctx governs the wait for
// the last processes of a server that is ending.
func openDirectory(ctx context.Context, path string, acct *account) (*directory, error) {
	d := &directory{path: path, temporary: path == "", account: acct}
	var err error
	if d.temporary {
		d.path, err = makeTemporary(acct)
	} else {
		d.path, err = makeKept(path, acct)
	}
	if err != nil {
		return nil, err
	}
	if d.lock, err = lockDirectory(ctx, d.path); err != nil {
		return nil, err
	}
	err = errors.Join(os.Chmod(d.path, 0o700), acct.own(d.path), d.removeLeftovers()) //nolint:gosec // a directory needs its x
	if err != nil {
		return nil, errors.Join(fmt.Errorf("devpg: prepare %q: %w", d.path, err), d.close())
	}
	return d, nil
}

func (d *directory) data() string { return filepath.Join(d.path, "data") }

// removeLeftovers removes what a server that died leaves behind. PostgreSQL trusts a pid file if any process of the
// same user has that pid now, and would refuse to start.
func (d *directory) removeLeftovers() error {
	leftovers, _ := filepath.Glob(filepath.Join(d.path, ".s.PGSQL.*")) // the pattern is well formed
	var errs []error
	for _, path := range append(leftovers, filepath.Join(d.data(), "postmaster.pid")) {
		if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// close removes the directory if it is temporary, and unlocks it.
func (d *directory) close() error {
	var err error
	if d.temporary {
		err = os.RemoveAll(d.path)
	}
	return errors.Join(err, d.lock.Close())
}

// makeTemporary prefers memory: on ext4, CREATE DATABASE spends four times as long on its 300 files. TMPDIR decides
// where it is set.
func makeTemporary(acct *account) (string, error) {
	base := os.TempDir()
	if memory := memoryDirectory(); memory != "" && os.Getenv("TMPDIR") == "" {
		base = memory
	}
	if acct.reaches(filepath.Join(base, "x")) != nil {
		base = "/tmp" // TMPDIR is private to root
	}
	removeOrphans(base)
	path, err := os.MkdirTemp(base, tempPrefix)
	if err != nil {
		return "", fmt.Errorf("devpg: %w", err)
	}
	return path, acct.reaches(path)
}

// makeKept refuses a directory with other files in it: it is about to change the owner of everything there.
func makeKept(path string, acct *account) (string, error) {
	path, err := filepath.Abs(path)
	if err == nil {
		err = os.MkdirAll(path, 0o700)
	}
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		return "", fmt.Errorf("devpg: Config.Dir: %w", err)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return "", fmt.Errorf("devpg: Config.Dir: %w", err)
	}
	for _, e := range entries {
		if name := e.Name(); name != "data" && !strings.HasPrefix(name, "data.new") && !strings.HasPrefix(name, ".s.PGSQL.") {
			return "", fmt.Errorf("devpg: Config.Dir: %q holds other files, for example %q", path, name)
		}
	}
	return path, acct.reaches(path)
}

// removeOrphans removes the temporary directories of processes that were killed. It is a courtesy: it skips what it may
// not remove, and files so young that their maker may not have locked them yet.
func removeOrphans(base string) {
	paths, _ := filepath.Glob(filepath.Join(base, tempPrefix+"*")) // the pattern is well formed
	for _, path := range paths {
		info, err := os.Lstat(path)
		if err != nil || !info.IsDir() || time.Since(info.ModTime()) < time.Minute {
			continue
		}
		if f, err := tryLock(path); err == nil {
			_ = os.RemoveAll(path)
			_ = f.Close()
		}
	}
}

// lockDirectory waits up to ten seconds for the lock: a server whose parent was killed needs a moment to end.
func lockDirectory(ctx context.Context, path string) (*os.File, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for {
		f, err := tryLock(path)
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return f, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %q", ErrInUse, path)
		case <-retry.C:
		}
	}
}

func tryLock(path string) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("devpg: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("devpg: lock %q: %w", path, err), f.Close())
	}
	return f, nil
}
