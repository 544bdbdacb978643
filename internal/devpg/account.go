package devpg

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// account is the system account that the server runs as. PostgreSQL refuses to run as root, so root lends it an account
// that can do nothing else. A nil account is the caller's own.
type account struct {
	name string
	cred *syscall.Credential
}

// serverAccount returns nil for everyone but root.
func serverAccount() (*account, error) {
	if os.Geteuid() != 0 {
		return nil, nil //nolint:nilnil // nil is the caller's own account, and every method of account takes it
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("devpg: account %q: %w", name, err)
		}
		return &account{name: name, cred: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
	}
	return nil, errors.New("devpg: PostgreSQL does not run as root, and there is no account postgres or nobody for it")
}

func (a *account) credential() *syscall.Credential {
	if a == nil {
		return nil
	}
	return a.cred
}

// own gives dir and everything in it to the account. It looks nowhere else, even if the account's programs leave links.
func (a *account) own(dir string) error {
	if a == nil {
		return nil
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return fs.WalkDir(root.FS(), ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return root.Lchown(path, int(a.cred.Uid), int(a.cred.Gid))
	})
}

// ownFile gives one file to the account.
func (a *account) ownFile(path string) error {
	if a == nil {
		return nil
	}
	return os.Lchown(path, int(a.cred.Uid), int(a.cred.Gid))
}

// reaches reports, as an error, the first directory above dir that the account cannot pass through.
func (a *account) reaches(dir string) error {
	if a == nil {
		return nil
	}
	for parent := filepath.Dir(dir); ; parent = filepath.Dir(parent) {
		info, err := os.Stat(parent)
		if err != nil {
			return fmt.Errorf("devpg: %w", err)
		}
		if info.Mode()&0o001 == 0 && !a.owns(info) {
			return fmt.Errorf("devpg: directory %q: account %q, which runs the server for root, cannot pass through %q",
				dir, a.name, parent)
		}
		if parent == filepath.Dir(parent) {
			return nil
		}
	}
}

func (a *account) owns(info os.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Uid == a.cred.Uid
}
