package atlas

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"ariga.io/atlas/sql/migrate"
)

// migration is one file of a directory of migrations.
type migration struct {
	name, version, text string
	statements          []string // of a file that is run without a transaction, else nil
	begun               int      // statements that a database has had already
}

// MigrationsSum returns what atlas.sum must hold for a directory of migrations, as the command "atlas migrate hash"
// writes it. Dir "" is ".".
func MigrationsSum(fsys fs.FS, dir string) ([]byte, error) {
	local, err := readDirectory(fsys, path.Clean("./"+dir))
	if err != nil {
		return nil, err
	}
	sum, err := local.Checksum()
	if err != nil {
		return nil, fmt.Errorf("atlas: migrations: %w", err)
	}
	return sum.MarshalText()
}

// readDirectory copies the SQL files and atlas.sum of dir into memory, where Atlas can read them.
func readDirectory(fsys fs.FS, dir string) (*migrate.MemDir, error) {
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil {
		return nil, fmt.Errorf("atlas: migrations: %w", err)
	}
	local := &migrate.MemDir{}
	for _, e := range entries {
		if e.IsDir() || path.Ext(e.Name()) != ".sql" && e.Name() != migrate.HashFileName {
			continue
		}
		text, err := fs.ReadFile(fsys, path.Join(dir, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("atlas: migrations: %w", err)
		}
		if err := local.WriteFile(e.Name(), text); err != nil {
			return nil, fmt.Errorf("atlas: migrations: %w", err)
		}
	}
	return local, nil
}

// readMigrations reads the files of dir in the order of their versions. Everything that is wrong with them is in the
// error.
func readMigrations(fsys fs.FS, dir string) ([]migration, error) {
	local, err := readDirectory(fsys, dir)
	if err != nil {
		return nil, err
	}
	files, err := local.Files()
	if err != nil {
		return nil, fmt.Errorf("atlas: migrations: %w", err)
	}
	if len(files) == 0 {
		return nil, errors.New("atlas: migrations: the directory has no SQL files")
	}
	errs := []error{checkSum(local)}
	var list []migration
	for _, f := range files {
		m, err := parseMigration(f.Name(), string(f.Bytes()))
		if err == nil && len(list) > 0 {
			err = checkOrder(list[len(list)-1].version, m.version)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("atlas: migrations: %s: %w", f.Name(), err))
		}
		list = append(list, m)
	}
	return list, errors.Join(errs...)
}

// checkSum compares the files with atlas.sum.
func checkSum(dir migrate.Dir) error {
	err := migrate.Validate(dir)
	var mismatch *migrate.ChecksumError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, migrate.ErrChecksumNotFound):
		return errors.New("atlas: migrations: there is no atlas.sum: MigrationsSum and \"atlas migrate hash\" make it")
	case errors.As(err, &mismatch):
		return fmt.Errorf("atlas: migrations: atlas.sum, line %d: %s was %s", mismatch.Line, mismatch.File, mismatch.Reason)
	}
	return fmt.Errorf("atlas: migrations: atlas.sum: %w", err)
}

// checkOrder refuses versions of which people and the sorting by name would think differently: 9 and 10.
func checkOrder(before, version string) error {
	switch {
	case before == version:
		return fmt.Errorf("version %q is taken", version)
	case before > version, len(before) != len(version) && isNumber(before) && isNumber(version):
		return fmt.Errorf("version %q does not follow %q in the order of names: give all the same number of digits",
			version, before)
	}
	return nil
}

func isNumber(s string) bool { return strings.Trim(s, "0123456789") == "" }

// parseMigration checks a file for what would have another meaning than its author thought, or none.
func parseMigration(name, text string) (migration, error) {
	local := migrate.NewLocalFile(name, []byte(text))
	m := migration{name: name, version: local.Version(), text: text}
	if m.version == "" {
		return m, errors.New("the name does not begin with a version")
	}
	if strings.HasSuffix(name, ".down.sql") {
		return m, errors.New("would be run after the file that it undoes: remove it")
	}
	if err := checkSQL(text); err != nil {
		return m, err
	}
	if err := checkDirectives(local); err != nil {
		return m, err
	}
	if len(local.Directive("txmode")) == 0 {
		return m, nil
	}
	scanned, err := divide(text)
	if err != nil {
		return m, fmt.Errorf("cannot be divided into statements: %w", err)
	}
	m.statements = []string{}
	for _, s := range scanned {
		m.statements = append(m.statements, s.Text)
	}
	return m, nil
}

// checkDirectives refuses Atlas's directives that have no effect here, or where they stand, and those of other tools.
func checkDirectives(f *migrate.LocalFile) error {
	directive := regexp.MustCompile(`(?m)^[ \t]*(?:--|#)[ \t]*atlas:(\w*)[ \t]*([^\r\n]*)`)
	found := 0
	for _, d := range directive.FindAllStringSubmatch(string(f.Bytes()), -1) {
		switch kind, value := d[1], strings.TrimSpace(d[2]); {
		case kind == "nolint":
		case kind == "txmode" && value == "none":
			found++
		default:
			return fmt.Errorf("directive %q has no meaning here", strings.TrimSpace("atlas:"+kind+" "+value))
		}
	}
	inForce := f.Directive("txmode")
	if found > 1 || found != len(inForce) || found == 1 && strings.TrimSpace(inForce[0]) != "none" {
		return errors.New("atlas:txmode has to stand at the top, followed by an empty line")
	}
	other := regexp.MustCompile(`(?m)^[ \t]*--[ \t]*(\+goose|\+migrate|migrate:down|rambler)`)
	if mark := other.FindStringSubmatch(string(f.Bytes())); mark != nil {
		return fmt.Errorf("has marks of another tool (%s): they would be passed over, and all of the file run", mark[1])
	}
	return nil
}

// revision says what a database has had of a file.
type revision struct {
	version string
	applied int    // statements, of a file that is run without a transaction
	done    bool   // all of the file was run
	hash    string // of what was run
}

// complete is the revision of a database that has had all of the file.
func (m migration) complete() revision {
	return revision{version: m.version, applied: len(m.statements), done: true, hash: digest(m.text)}
}

// partial is the revision of a database that has had the first n statements.
func (m migration) partial(n int) revision {
	return revision{version: m.version, applied: n, hash: digest(strings.Join(m.statements[:n], "\x00"))}
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// compareHistory returns the files that have not run in a database, of which the first may have begun. have is sorted
// by version, like list.
func compareHistory(list []migration, have []revision) ([]migration, error) {
	var problems []string
	byVersion := make(map[string]migration, len(list))
	for _, f := range list {
		byVersion[f.version] = f
	}
	for _, r := range have {
		f, ok := byVersion[r.version]
		switch {
		case !ok:
			problems = append(problems, r.version+" was run and is gone")
		case r.done && r.hash != f.complete().hash:
			problems = append(problems, f.name+" was edited after it was run")
		case !r.done && (r.applied > len(f.statements) || r != f.partial(r.applied)):
			problems = append(problems, f.name+" was edited after a part of it was run")
		}
	}
	var pending []migration
	for _, f := range list {
		i := len(have) - 1
		for i >= 0 && have[i].version != f.version {
			i--
		}
		switch {
		case i >= 0 && have[i].done:
		case i < 0 && len(have) > 0 && f.version < have[len(have)-1].version:
			problems = append(problems, f.name+" was added before a file that was run")
		case i >= 0:
			f.begun = have[i].applied
			pending = append(pending, f)
		default:
			pending = append(pending, f)
		}
	}
	if len(problems) > 0 {
		return nil, &HistoryError{Problems: problems}
	}
	return pending, nil
}
