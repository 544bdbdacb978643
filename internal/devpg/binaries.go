package devpg

import (
	"cmp"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// usualPlaces are where packages put PostgreSQL's programs. Debian keeps initdb and postgres out of PATH.
func usualPlaces() []string {
	return []string{
		"/usr/lib/postgresql/*/bin",          // Debian, Ubuntu
		"/usr/pgsql-*/bin",                   // PGDG on Red Hat and its kin
		"/opt/homebrew/opt/postgresql@*/bin", // Homebrew on Apple silicon
		"/usr/local/opt/postgresql@*/bin",    // Homebrew on Intel
		"/usr/local/pgsql/bin",               // built from source
		"/Applications/Postgres.app/Contents/Versions/*/bin",
	}
}

// Binaries returns the directory of the PostgreSQL that Start starts: an installed one, else a prebuilt one, which is
// fetched into the user's cache the first time. ctx governs running pg_config and the download.
func Binaries(ctx context.Context) (string, error) {
	dir, err := findBinaries(ctx, usualPlaces())
	if errors.Is(err, ErrNotFound) {
		return prebuiltPrograms(ctx)
	}
	return dir, err
}

// findBinaries returns the directory that holds initdb and postgres: PATH first, then what pg_config says, then the
// newest version in places. ctx governs running pg_config.
func findBinaries(ctx context.Context, places []string) (string, error) {
	var dirs []string
	if path, err := exec.LookPath("initdb"); err == nil {
		dirs = append(dirs, filepath.Dir(path))
	}
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	for _, place := range places {
		found, _ := filepath.Glob(place) // fails on a malformed pattern only
		slices.SortFunc(found, func(a, b string) int { return cmp.Compare(version(b), version(a)) })
		dirs = append(dirs, found...)
	}
	for _, dir := range dirs {
		if executable(filepath.Join(dir, "initdb")) && executable(filepath.Join(dir, "postgres")) {
			return dir, nil
		}
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	return "", ErrNotFound
}

// version is the last number in a path, such as 15 in /usr/lib/postgresql/15/bin, or 0.
func version(dir string) float64 {
	numbers := regexp.MustCompile(`\d+(\.\d+)?`).FindAllString(dir, -1)
	if len(numbers) == 0 {
		return 0
	}
	n, _ := strconv.ParseFloat(numbers[len(numbers)-1], 64) // the pattern allows nothing else
	return n
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}
