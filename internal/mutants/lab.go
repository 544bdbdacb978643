package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// verdict is what became of a mutant.
type verdict string

const (
	dead     verdict = "killed"
	alive    verdict = "SURVIVED"
	stale    verdict = "STALE"  // what is to be taken out is not there, or more than once
	unfit    verdict = "BROKEN" // it does not compile
	redFirst verdict = "RED"    // its test fails without it too
)

// lab is a copy of the tree, of the files that git tracks as they are in the working tree.
type lab struct {
	dir   string
	green map[string]bool // by test: does it pass without a mutant
}

func newLab(ctx context.Context) (*lab, error) {
	out, err := exec.CommandContext(ctx, "git", "ls-files", "-z").Output()
	if err != nil {
		return nil, fmt.Errorf("git ls-files: %w", err)
	}
	dir, err := os.MkdirTemp("", "mutants-")
	if err != nil {
		return nil, err
	}
	l := &lab{dir: dir, green: make(map[string]bool)}
	for name := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		if err := l.copyIn(name); err != nil {
			l.close()
			return nil, err
		}
	}
	return l, nil
}

func (l *lab) close() { os.RemoveAll(l.dir) }

func (l *lab) copyIn(name string) error {
	data, err := os.ReadFile(name)
	if os.IsNotExist(err) {
		return nil // deleted and not committed yet
	}
	if err != nil {
		return err
	}
	target := filepath.Join(l.dir, name)
	if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
		return err
	}
	return os.WriteFile(target, data, 0o600) //nolint:gosec // names that git has, in a directory of our own
}

// try puts m in, runs its test, and takes it out again.
func (l *lab) try(ctx context.Context, m mutant) verdict {
	path := filepath.Join(l.dir, m.file)
	sound, err := os.ReadFile(path)
	if err != nil || bytes.Count(sound, []byte(m.old)) != 1 {
		return stale
	}
	if !l.passes(ctx, m.test) {
		return redFirst
	}
	sick := bytes.Replace(sound, []byte(m.old), []byte(m.new), 1)
	if os.WriteFile(path, sick, 0o600) != nil { //nolint:gosec // our own copy
		return stale
	}
	defer func() { _ = os.WriteFile(path, sound, 0o600) }() //nolint:gosec // our own copy
	out, err := l.test(ctx, m.test)
	switch {
	case err == nil:
		return alive
	case strings.Contains(out, "[build failed]"), strings.Contains(out, "[setup failed]"):
		return unfit
	}
	return dead
}

// passes reports whether a test passes in the tree as it is.
func (l *lab) passes(ctx context.Context, test string) bool {
	green, known := l.green[test]
	if !known {
		_, err := l.test(ctx, test)
		green = err == nil
		l.green[test] = green
	}
	return green
}

func (l *lab) test(ctx context.Context, test string) (string, error) {
	pkg, names, _ := strings.Cut(test, " ")
	cmd := exec.CommandContext(ctx, "go", "test", "-count=1", "-timeout=3m", "-vet=off", "-run=^("+names+")$", pkg) //nolint:gosec // the mutants are ours
	cmd.Dir = l.dir
	out, err := cmd.CombinedOutput()
	if err == nil && bytes.Contains(out, []byte("no tests to run")) {
		err = fmt.Errorf("no test %s", test)
	}
	return string(out), err
}
