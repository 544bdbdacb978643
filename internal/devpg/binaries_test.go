package devpg_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgtenancy/pgtenancy/internal/devpg"
)

func TestNothingFoundIsOneLineThatSaysWhatToInstall(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := devpg.FindBinaries(t.Context(), nil)
	if !errors.Is(err, devpg.ErrNotFound) {
		t.Fatalf("FindBinaries: %v, want ErrNotFound", err)
	}
	if text := err.Error(); strings.Contains(text, "\n") || !strings.Contains(text, "apt-get install postgresql") {
		t.Errorf("error is not one line that says what to install: %q", text)
	}
}

func TestNewestCompleteInstallationWins(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	root := t.TempDir()
	for _, release := range []string{"9.6", "17", "10"} {
		install(t, filepath.Join(root, release, "bin"), "initdb", "postgres")
	}
	install(t, filepath.Join(root, "18", "bin"), "pg_dump") // only the client is installed
	got, err := devpg.FindBinaries(t.Context(), []string{filepath.Join(root, "*", "bin")})
	if want := filepath.Join(root, "17", "bin"); err != nil || got != want {
		t.Errorf("FindBinaries = %q, %v, want %q", got, err, want)
	}
}

func TestPathComesBeforeUsualPlaces(t *testing.T) {
	inPath, usual := t.TempDir(), t.TempDir()
	install(t, inPath, "initdb", "postgres")
	install(t, usual, "initdb", "postgres")
	t.Setenv("PATH", inPath)
	if got, err := devpg.FindBinaries(t.Context(), []string{usual}); err != nil || got != inPath {
		t.Errorf("FindBinaries = %q, %v, want %q", got, err, inPath)
	}
}

func TestPGConfigIsAsked(t *testing.T) {
	bin, asked := t.TempDir(), t.TempDir()
	install(t, asked, "initdb", "postgres")
	script := "#!/bin/sh\necho " + asked + "\n"
	if err := os.WriteFile(filepath.Join(bin, "pg_config"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin)
	if got, err := devpg.FindBinaries(t.Context(), nil); err != nil || got != asked {
		t.Errorf("FindBinaries = %q, %v, want %q", got, err, asked)
	}
}

func install(t *testing.T, dir string, names ...string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
}
