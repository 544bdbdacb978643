package atlas

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/provision"
)

// SQL returns the schema that the SQL of cfg makes in an empty database. The files are read now. An error names each
// field of cfg that is wrong.
//
// Build runs the files, then the repeatable ones, in one transaction; Upgrade is described in the package comment. The
// files are run as single messages, so they hold SQL only: neither commands of psql nor COPY from its standard input,
// and neither BEGIN, COMMIT nor ROLLBACK.
func SQL(cfg Config) (provision.Schema, error) {
	src, err := cfg.read("sql")
	if err != nil {
		return nil, err
	}
	return &declarative{source: src, build: func(ctx context.Context, db *pgx.ConnConfig) error {
		return buildSQL(ctx, db, append(src.files[:len(src.files):len(src.files)], src.repeatable...))
	}}, nil
}

// buildSQL runs files in the empty database of cfg. ctx governs all of it; nothing stays of a build that fails.
func buildSQL(ctx context.Context, cfg *pgx.ConnConfig, files []file) error {
	s, err := begin(ctx, cfg)
	if err != nil {
		return fmt.Errorf("atlas: build: %w", err)
	}
	defer s.close()
	if err := s.pgx(func(conn *pgx.Conn) error { return runFiles(ctx, conn, files) }); err != nil {
		return fmt.Errorf("atlas: build: %w", err)
	}
	if err := s.tx.Commit(); err != nil {
		return fmt.Errorf("atlas: build: commit: %w", redact(ctx, err))
	}
	return nil
}
