package atlas

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// Config says where a schema is written: in files, or in Text.
type Config struct {
	// FS is where Files and Repeatable are found. An embed.FS or os.DirFS fits.
	FS fs.FS

	// Files are names or patterns (path.Match) of the schema's files. They are read in this order, and those of one
	// pattern in the order of their names. A pattern that matches nothing is an error.
	Files []string

	// Text is the schema itself, if it is not in files. Exactly one of Files and Text must be set.
	Text string

	// Repeatable are names or patterns of SQL files for what Atlas's open library does not see (see the package
	// comment). They run at the end of a build and of every upgrade, in the same transaction, and so must be fit to run
	// again: CREATE OR REPLACE, DROP … IF EXISTS.
	Repeatable []string
}

// file is one file of a schema, read.
type file struct {
	name string
	text string
}

// source is a Config whose files were read.
type source struct {
	files      []file
	repeatable []file
	hash       string
}

// formatVersion is part of every hash. It changes when the same files come to mean another schema.
const formatVersion = "pgtenancy schema 1"

// read reads the files. Everything that is wrong with c is in the error.
func (c Config) read(engine string) (source, error) {
	var errs []error
	if (len(c.Files) == 0) == (c.Text == "") {
		errs = append(errs, errors.New("atlas: Config.Files: exactly one of Files and Text must be set"))
	}
	if c.FS == nil && len(c.Files)+len(c.Repeatable) > 0 {
		return source{}, errors.Join(append(errs, errors.New("atlas: Config.FS: must be set to read files"))...)
	}
	files, err := readFiles(c.FS, "Files", c.Files)
	errs = append(errs, err)
	repeatable, err := readFiles(c.FS, "Repeatable", c.Repeatable)
	errs = append(errs, err)
	if c.Text != "" {
		files = []file{{name: "schema", text: c.Text}}
	}
	if !strings.HasSuffix(engine, "hcl") {
		errs = append(errs, checkFiles("Files", files))
	}
	errs = append(errs, checkFiles("Repeatable", repeatable))
	if err := errors.Join(errs...); err != nil {
		return source{}, err
	}
	return source{files: files, repeatable: repeatable, hash: hash(engine, files, repeatable)}, nil
}

func readFiles(fsys fs.FS, field string, patterns []string) ([]file, error) {
	var files []file
	var errs []error
	for _, pattern := range patterns {
		names, err := fs.Glob(fsys, pattern)
		if err == nil && len(names) == 0 {
			err = fs.ErrNotExist
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("atlas: Config.%s: %q: %w", field, pattern, err))
		}
		for _, name := range names {
			text, err := fs.ReadFile(fsys, name)
			if err != nil {
				errs = append(errs, fmt.Errorf("atlas: Config.%s: %w", field, err))
			}
			files = append(files, file{name: name, text: string(text)})
		}
	}
	return files, errors.Join(errs...)
}

// checkFiles names each file of SQL that PostgreSQL cannot run.
func checkFiles(field string, files []file) error {
	var errs []error
	for _, f := range files {
		if err := checkSQL(f.text); err != nil {
			errs = append(errs, fmt.Errorf("atlas: Config.%s: %s: %w", field, f.name, err))
		}
	}
	return errors.Join(errs...)
}

// hash is made of what the files say and of their order. Their names do not matter.
func hash(engine string, files, repeatable []file) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n", formatVersion, engine)
	for _, f := range files {
		fmt.Fprintf(h, "file %d\n%s\n", len(f.text), f.text)
	}
	for _, f := range repeatable {
		fmt.Fprintf(h, "repeatable %d\n%s\n", len(f.text), f.text)
	}
	return hex.EncodeToString(h.Sum(nil))[:32]
}
