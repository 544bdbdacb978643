//go:build unix

package keyring

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// maxLinks is how many symbolic links may lie on the way to a file of keys; Linux allows as many.
const maxLinks = 40

// openKeyFile opens path if it is what ReadFile accepts.
func openKeyFile(path string) (*os.File, error) {
	resolved, err := keyPath(path)
	if err != nil {
		return nil, err
	}
	// The directories are safe, so that this is the file that was found. If it is a FIFO, opening it must not hang.
	f, err := os.OpenFile(resolved, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if err := checkKeyFile(f); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

func checkKeyFile(f *os.File) error {
	info, err := f.Stat()
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return errors.New("not a regular file")
	case !isOurs(info):
		return errors.New("belongs to another user")
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("mode %#o lets others in; set it to 0600", info.Mode().Perm())
	}
	return nil
}

// keyPath returns path without symbolic links, and checks every directory on the way.
func keyPath(path string) (string, error) {
	if !filepath.IsAbs(path) {
		wd, err := os.Getwd()
		if err != nil {
			return "", err
		}
		path = wd + "/" + path // not Join: "link/.." is not where the link stands
	}
	at, rest, links := "/", strings.Split(path, "/"), 0
	for len(rest) > 0 {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			at = filepath.Dir(at)
			continue
		}
		next := filepath.Join(at, name)
		entry, err := os.Lstat(next)
		if err != nil {
			return "", err
		}
		if err := checkKeyDir(at, entry); err != nil {
			return "", err
		}
		if entry.Mode()&os.ModeSymlink == 0 {
			at = next
			continue
		}
		if links++; links > maxLinks {
			return "", syscall.ELOOP
		}
		target, err := os.Readlink(next)
		if err != nil {
			return "", err
		}
		if filepath.IsAbs(target) {
			at = "/"
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return at, nil
}

// checkKeyDir refuses a directory in which another user may put something else in the place of entry.
func checkKeyDir(dir string, entry os.FileInfo) error {
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return err
	case !isOurs(info):
		return fmt.Errorf("directory %s belongs to another user, who can put another file in its place", dir)
	case info.Mode().Perm()&0o022 != 0 && (info.Mode()&os.ModeSticky == 0 || !isOurs(entry)):
		return fmt.Errorf("directory %s has mode %#o: others can put another file in its place; chmod go-w it",
			dir, info.Mode().Perm())
	}
	return nil
}

// isOurs reports whether a file belongs to the process's user or to root.
func isOurs(info os.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && (stat.Uid == 0 || int64(stat.Uid) == int64(os.Geteuid()))
}

// syncDir writes a directory's entries to disk.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
