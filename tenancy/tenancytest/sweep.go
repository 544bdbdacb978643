package tenancytest

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
)

// sweepOthers drops what runs left that have ended, and templates that were not used for a day. A run has ended if no
// session has its name: each process opens one before it makes its first database.
func (s *server) sweepOthers(ctx context.Context) error {
	rows, _ := s.admin.Query(ctx, `
		SELECT DISTINCT left(name, 14) FROM (
			SELECT datname::text FROM pg_database UNION ALL SELECT rolname::text FROM pg_roles
		) AS all_names (name)
		WHERE name ~ '^ttest_[0-9a-f]{8}_'
			AND NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = left(name, 14))`)
	ended, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, run := range ended {
		if err := s.sweep(ctx, run+"_"); err != nil {
			return err
		}
	}
	return s.sweepTemplates(ctx)
}

// sweep drops all databases and roles whose names begin with prefix.
func (s *server) sweep(ctx context.Context, prefix string) error {
	databases, err := s.list(ctx, "SELECT datname FROM pg_database WHERE starts_with(datname, $1)", prefix)
	if err != nil {
		return err
	}
	for _, name := range databases {
		// What a provisioner makes a template of cannot be dropped as it is. Another process may be sweeping too.
		err := s.exec(ctx, "ALTER DATABASE "+quote(name)+" IS_TEMPLATE false")
		if err == nil {
			err = s.drop(ctx, name)
		}
		if err != nil && !pgerr.IsState(err, pgerr.InvalidCatalogName) {
			return err
		}
	}
	// An administrator's last: from version 16 on, memberships depend on the role that granted them.
	roles, err := s.list(ctx, "SELECT rolname FROM pg_roles WHERE starts_with(rolname, $1) ORDER BY rolcreaterole", prefix)
	for _, name := range roles {
		err = errors.Join(err, s.exec(ctx, "DROP ROLE IF EXISTS "+quote(name)))
	}
	return err
}

// sweepTemplates leaves a template alone that another process copies just now.
func (s *server) sweepTemplates(ctx context.Context) error {
	old, err := s.list(ctx, `SELECT datname FROM pg_database WHERE starts_with(datname, $1)
		AND shobj_description(oid, 'pg_database') ~ '^used [0-9]+$'
		AND split_part(shobj_description(oid, 'pg_database'), ' ', 2)::bigint
			< extract(epoch FROM now() - interval '1 day')`, templatePrefix)
	for _, name := range old {
		dropErr := s.exec(ctx, "DROP DATABASE IF EXISTS "+quote(name))
		if dropErr != nil && !pgerr.IsState(dropErr, pgerr.ObjectInUse) {
			err = errors.Join(err, fmt.Errorf("template %q: %w", name, dropErr))
		}
	}
	return err
}

// list returns the names that a query finds.
func (s *server) list(ctx context.Context, sql string, args ...any) ([]string, error) {
	rows, _ := s.admin.Query(ctx, sql, args...)
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
