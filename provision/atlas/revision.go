package atlas

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// createRevisions makes the table of the files that have run. Only its owner has rights on it: default privileges give
// every new table to tenants, and a tenant that could write there would decide which files run in its database.
func (r *run) createRevisions(ctx context.Context) error {
	_, err := r.conn.PgConn().Exec(ctx, `
		CREATE SCHEMA IF NOT EXISTS pgtenancy;
		CREATE TABLE IF NOT EXISTS pgtenancy.revisions (
			version text PRIMARY KEY,
			applied integer NOT NULL,
			done boolean NOT NULL,
			hash text NOT NULL,
			at timestamptz NOT NULL DEFAULT now()
		);
		DO $$
		DECLARE who text;
		BEGIN
			FOR who IN
				SELECT DISTINCT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END
				FROM (SELECT relacl, relowner FROM pg_class WHERE oid = 'pgtenancy.revisions'::regclass
					UNION ALL SELECT nspacl, nspowner FROM pg_namespace WHERE nspname = 'pgtenancy') o (acl, owner),
					aclexplode(acl)
				WHERE grantee <> owner
			LOOP
				EXECUTE 'REVOKE ALL ON pgtenancy.revisions FROM ' || who;
				EXECUTE 'REVOKE ALL ON SCHEMA pgtenancy FROM ' || who;
			END LOOP;
		END $$`).ReadAll()
	return err
}

// revisions reads the table, sorted by version. It is nil if there is no such table.
func (r *run) revisions(ctx context.Context) ([]revision, error) {
	var found bool
	err := r.conn.QueryRow(ctx, "SELECT pg_catalog.to_regclass('pgtenancy.revisions'::pg_catalog.text) IS NOT NULL").
		Scan(&found)
	if err != nil || !found {
		return nil, redact(ctx, err)
	}
	rows, _ := r.conn.Query(ctx, `
		SELECT version, applied, done, hash FROM pgtenancy.revisions ORDER BY version COLLATE pg_catalog."C"`)
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (v revision, err error) {
		return v, row.Scan(&v.version, &v.applied, &v.done, &v.hash)
	})
	if err != nil {
		return nil, fmt.Errorf("revisions: %w", redact(ctx, err))
	}
	return list, nil
}

func (r *run) record(ctx context.Context, v revision) error {
	_, err := r.conn.Exec(ctx, `
		INSERT INTO pgtenancy.revisions (version, applied, done, hash)
		VALUES ($1::pg_catalog.text, $2::pg_catalog.int4, $3::pg_catalog.bool, $4::pg_catalog.text)
		ON CONFLICT (version) DO UPDATE SET applied = excluded.applied, done = excluded.done, hash = excluded.hash,
			at = pg_catalog.now()`,
		v.version, v.applied, v.done, v.hash)
	if err != nil {
		return fmt.Errorf("revisions: %w", redact(ctx, err))
	}
	return nil
}
