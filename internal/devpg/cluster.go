package devpg

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/pgtenancy/pgtenancy/internal/scram"
)

// initialize makes the data directory unless it is there. It appears under its name only when it is complete.
func (p programs) initialize(ctx context.Context) error {
	data := p.dir.data()
	if _, err := os.Stat(filepath.Join(data, "PG_VERSION")); err == nil {
		return nil
	}
	fresh := data + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return fmt.Errorf("devpg: %w", err)
	}
	if err := p.initdb(ctx, fresh); err != nil {
		return err
	}
	if err := os.Rename(fresh, data); err != nil {
		return fmt.Errorf("devpg: %w", err)
	}
	return nil
}

// initdb makes a cluster in data. It copies a temporary cluster from an earlier one if possible: initdb
// takes 750 ms, a copy 70 ms.
func (p programs) initdb(ctx context.Context, data string) error {
	args := []string{"--username=postgres", "--auth=scram-sha-256", "--no-locale", "--encoding=UTF8"}
	if !p.scratch {
		return p.runInitdb(ctx, data, args)
	}
	args = append(args, "--no-sync")
	cached, err := p.cachePath(ctx, args)
	if err != nil {
		return p.runInitdb(ctx, data, args)
	}
	if os.CopyFS(data, os.DirFS(cached)) == nil {
		return errors.Join(os.Chmod(data, 0o700), p.dir.account.own(data)) //nolint:gosec // a directory needs its x
	}
	if err := os.RemoveAll(data); err != nil {
		return fmt.Errorf("devpg: %w", err)
	}
	if err := p.runInitdb(ctx, data, args); err != nil {
		return err
	}
	fillCache(cached, data)
	return nil
}

// runInitdb gives the superuser a throw-away password: setPassword sets the real one.
func (p programs) runInitdb(ctx context.Context, data string, args []string) error {
	pwfile := data + ".pw"
	if err := os.WriteFile(pwfile, []byte(rand.Text()), 0o600); err != nil {
		return fmt.Errorf("devpg: %w", err)
	}
	defer os.Remove(pwfile)
	if err := p.dir.account.ownFile(pwfile); err != nil {
		return fmt.Errorf("devpg: %w", err)
	}
	_, err := p.run(ctx, "", "initdb", append(args, "--pwfile="+pwfile, "--pgdata="+data)...)
	return err
}

// setPassword gives the superuser a new password while the server is down, so that none is ever stored.
func (p programs) setPassword(ctx context.Context, password string) error {
	verifier, err := scram.VerifierOfRandom(password)
	if err != nil {
		return err
	}
	_, err = p.run(ctx, fmt.Sprintf("ALTER ROLE postgres PASSWORD '%s'\n", verifier),
		"postgres", "--single", "-D", p.dir.data(), "-c", "log_min_error_statement=panic", "postgres")
	return err
}

// cachePath names the cached cluster of this initdb. The cache is the caller's own: no other user can have put files
// there for us to run a server on.
func (p programs) cachePath(ctx context.Context, args []string) (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	release, err := p.run(ctx, "", "initdb", "--version")
	if err != nil {
		return "", err
	}
	key := sha256.Sum256(fmt.Appendf(nil, "%s %s %q", p.bin, release, args))
	return filepath.Join(base, "pgtenancy", fmt.Sprintf("initdb-%x", key[:8])), nil
}

// fillCache copies a fresh cluster to cached. It is a courtesy to the next start: failures are not ours to report,
// and of two processes that fill the same place one wins.
func fillCache(cached, data string) {
	if os.MkdirAll(filepath.Dir(cached), 0o700) != nil {
		return
	}
	partial, err := os.MkdirTemp(filepath.Dir(cached), "partial-")
	if err != nil {
		return
	}
	defer os.RemoveAll(partial)
	copied := filepath.Join(partial, "data")
	if os.CopyFS(copied, os.DirFS(data)) == nil {
		_ = os.Rename(copied, cached)
	}
}
