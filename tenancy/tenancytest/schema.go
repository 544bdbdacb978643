package tenancytest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Schema makes the schema of tenants' databases. Every provision.Schema is one.
type Schema interface {
	// Hash names the schema: equal hashes mean equal schemas, also of other test binaries and of other days.
	Hash() string

	// Build makes the schema in the empty database that cfg leads to. It makes and closes its own connections. ctx bounds
	// all of it. The kit calls it once for each hash, and copies the database.
	Build(ctx context.Context, cfg *pgx.ConnConfig) error
}

// SQL returns the schema that the scripts make, one after the other. A script may have several statements, which run in
// one transaction.
func SQL(scripts ...string) Schema {
	s := new(scriptSchema)
	for i, text := range scripts {
		s.scripts = append(s.scripts, script{fmt.Sprintf("script %d", i+1), text})
	}
	return s
}

// Files returns the schema that the SQL files of fsys make which match a pattern of [fs.Glob], in the order of the
// patterns and then of their names. Each file runs in one transaction.
//
// The files of a migration tool also have the way down: give those to [Migrations], with that tool.
func Files(fsys fs.FS, patterns ...string) Schema {
	s := new(scriptSchema)
	for _, pattern := range patterns {
		names, err := fs.Glob(fsys, pattern)
		if err != nil || len(names) == 0 {
			s.errs = append(s.errs, fmt.Errorf("no file matches %q", pattern))
		}
		slices.Sort(names)
		for _, name := range names {
			text, err := fs.ReadFile(fsys, name)
			if err != nil {
				s.errs = append(s.errs, err)
			}
			if strings.Contains(string(text), "-- +goose Down") || strings.HasSuffix(name, ".down.sql") {
				s.errs = append(s.errs, fmt.Errorf("%s has a migration's way down: use Migrations", name))
			}
			s.scripts = append(s.scripts, script{name, string(text)})
		}
	}
	return s
}

// Migrations returns the schema that migrate makes with the files of fsys, for example through goose or golang-migrate.
// It is another schema when the content of any file is another: if migrate depends on anything else, write a [Schema]
// of your own. migrate must close the connections that it makes.
func Migrations(fsys fs.FS, migrate func(ctx context.Context, cfg *pgx.ConnConfig) error) Schema {
	s := &migratedSchema{migrate: migrate}
	digest := sha256.New()
	s.err = fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(fsys, name)
		fmt.Fprintf(digest, "%q %q\n", name, text)
		return err
	})
	s.hash = hex.EncodeToString(digest.Sum(nil))
	return s
}

// script is one SQL script, with the name that errors have.
type script struct{ name, text string }

type scriptSchema struct {
	scripts []script
	errs    []error
}

func (s *scriptSchema) Hash() string {
	digest := sha256.New()
	for _, script := range s.scripts {
		fmt.Fprintf(digest, "%q\n", script.text)
	}
	return hex.EncodeToString(digest.Sum(nil))
}

func (s *scriptSchema) Build(ctx context.Context, cfg *pgx.ConnConfig) error {
	if err := errors.Join(s.errs...); err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for _, script := range s.scripts {
		if _, err := conn.PgConn().Exec(ctx, script.text).ReadAll(); err != nil {
			return script.explain(err)
		}
	}
	return nil
}

// explain names the script, and the line if the server said which.
func (s script) explain(err error) error {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	text := []rune(s.text)
	if !ok || pg.Position <= 0 || int(pg.Position) > len(text) {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	line := 1 + strings.Count(string(text[:pg.Position-1]), "\n")
	return fmt.Errorf("%s:%d: %w", s.name, line, err)
}

type migratedSchema struct {
	hash    string
	err     error
	migrate func(context.Context, *pgx.ConnConfig) error
}

func (s *migratedSchema) Hash() string { return s.hash }

func (s *migratedSchema) Build(ctx context.Context, cfg *pgx.ConnConfig) error {
	if s.err != nil {
		return s.err
	}
	return s.migrate(ctx, cfg)
}
