package devpg_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pgtenancy/pgtenancy/internal/devpg"
)

const program = "#!/bin/sh\necho a server\n"

// archive packs files as npm does, and returns the archive with its digest.
func archive(t *testing.T, files map[string]string) (packed []byte, integrity string) {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for name, content := range files {
		header := &tar.Header{Name: name, Mode: 0o755, Size: int64(len(content)), Typeflag: tar.TypeReg}
		if err := w.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	sum := sha512.Sum512(b.Bytes())
	return b.Bytes(), base64.StdEncoding.EncodeToString(sum[:])
}

// serve serves an archive, and counts how often.
func serve(t *testing.T, packed []byte) (url string, served *atomic.Int64) {
	t.Helper()
	served = new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		served.Add(1)
		_, _ = w.Write(packed)
	}))
	t.Cleanup(s.Close)
	return s.URL + "/build-1.tgz", served
}

func TestPrebuiltServerIsFetchedOnceAndLinked(t *testing.T) {
	packed, integrity := archive(t, map[string]string{
		"package/native/bin/postgres":     program,
		"package/native/bin/initdb":       program,
		"package/native/lib/libpq.so.5.1": "library",
		"package/native/pg-symlinks.json": `[{"source":"native/lib/libpq.so.5.1","target":"native/lib/libpq.so.5"}]`,
		"package/index.js":                "not ours",
	})
	url, served := serve(t, packed)
	cache := filepath.Join(t.TempDir(), "cache")
	for range 2 {
		bin, err := devpg.InstallPrebuilt(t.Context(), url, integrity, cache)
		if err != nil {
			t.Fatal(err)
		}
		if want := filepath.Join(cache, "build-1", "bin"); bin != want {
			t.Errorf("programs in %q, want %q", bin, want)
		}
		library, err := os.ReadFile(filepath.Join(bin, "..", "lib", "libpq.so.5"))
		if err != nil || string(library) != "library" {
			t.Errorf("through the link: %q, %v", library, err)
		}
	}
	if served.Load() != 1 {
		t.Errorf("fetched %d times", served.Load())
	}
	left, err := os.ReadDir(cache)
	if err != nil || len(left) != 1 {
		t.Errorf("in the cache: %v, %v", left, err)
	}
}

func TestArchiveThatIsNotThePinnedOneIsRefused(t *testing.T) {
	packed, _ := archive(t, map[string]string{"package/native/bin/postgres": program})
	_, other := archive(t, map[string]string{"package/native/bin/postgres": program + "exit 0\n"})
	url, _ := serve(t, packed)
	cache := t.TempDir()
	_, err := devpg.InstallPrebuilt(t.Context(), url, other, cache)
	if err == nil || !strings.Contains(err.Error(), "SHA-512") {
		t.Errorf("error %v", err)
	}
	if left, _ := os.ReadDir(cache); len(left) != 0 {
		t.Errorf("in the cache: %v", left)
	}
}

func TestArchiveWritesNothingOutsideOfItsDirectory(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"file": {"package/native/../../../outside": "x", "package/native/pg-symlinks.json": "[]"},
		"link": {"package/native/pg-symlinks.json": `[{"source":"a","target":"native/../../../outside"}]`},
	} {
		t.Run(name, func(t *testing.T) {
			packed, integrity := archive(t, files)
			url, _ := serve(t, packed)
			parent := t.TempDir()
			if _, err := devpg.InstallPrebuilt(t.Context(), url, integrity, filepath.Join(parent, "cache")); err == nil {
				t.Error("installed")
			}
			if left, _ := os.ReadDir(parent); len(left) != 1 {
				t.Errorf("beside the cache: %v", left)
			}
			if left, _ := os.ReadDir(filepath.Join(parent, "cache")); len(left) != 0 {
				t.Errorf("in the cache: %v", left)
			}
		})
	}
}

func TestServerThatDoesNotRunHereIsNotKept(t *testing.T) {
	packed, integrity := archive(t, map[string]string{
		"package/native/bin/postgres": "#!/bin/sh\necho no such library\nexit 127\n", "package/native/pg-symlinks.json": "[]",
	})
	url, _ := serve(t, packed)
	cache := t.TempDir()
	_, err := devpg.InstallPrebuilt(t.Context(), url, integrity, cache)
	if err == nil || !strings.Contains(err.Error(), "no such library") {
		t.Errorf("error %v", err)
	}
	if left, _ := os.ReadDir(cache); len(left) != 0 {
		t.Errorf("in the cache: %v", left)
	}
}

func TestEachSystemHasAPinnedBuild(t *testing.T) {
	seen := map[string]bool{}
	for _, system := range []string{"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64"} {
		goos, goarch, _ := strings.Cut(system, "/")
		url, integrity, ok := devpg.PrebuiltFor(goos, goarch)
		digest, err := base64.StdEncoding.DecodeString(integrity)
		if !ok || err != nil || len(digest) != sha512.Size || seen[url] || seen[integrity] {
			t.Errorf("%s: %q, %q", system, url, integrity)
		}
		seen[url], seen[integrity] = true, true
	}
	if url, _, ok := devpg.PrebuiltFor("plan9", "386"); ok {
		t.Errorf("plan9: %s", url)
	}
}
