package pgadmin

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
)

// Grant gives role the use of what the connected role will make in cfg's database, now and later, and closes schema
// public.
func Grant(ctx context.Context, cfg *pgx.ConnConfig, role string) error {
	conn, err := Connect(ctx, Pinned(cfg))
	if err != nil {
		return err
	}
	defer Disconnect(conn)
	if err := Run(ctx, conn, grants(role)); err != nil {
		return err
	}
	return ClosePublic(ctx, conn, role)
}

// ClosePublic takes the right to create in schema public of conn's database from PUBLIC and from roles, and checks that
// it is gone: with it a tenant could plant functions that later upgrades call as the administrator. A schema may give
// it (old dumps say GRANT ALL ON SCHEMA public TO PUBLIC). Before version 15, PUBLIC has it, the first superuser owns
// schema public, and PostgreSQL only warns any other role that revokes it. conn must be pinned. It returns
// [ErrPublicSchema] if the right stays.
func ClosePublic(ctx context.Context, conn *pgx.Conn, roles ...string) error {
	isOpen := func() (open bool, err error) {
		err = conn.QueryRow(ctx, `SELECT coalesce(bool_or(has_schema_privilege(r::name, n.oid, 'CREATE')), false)
			FROM pg_namespace n, unnest($1::text[]) r WHERE nspname = 'public'`, roles).Scan(&open)
		return open, err
	}
	open, err := isOpen()
	if err != nil || !open {
		return err
	}
	from := "PUBLIC"
	for _, role := range roles {
		from += ", " + Quote(role)
	}
	err = RetryRaced(ctx, func() error { return Run(ctx, conn, "REVOKE CREATE ON SCHEMA public FROM "+from) })
	if err != nil {
		return err
	}
	if open, err = isOpen(); err == nil && open {
		err = ErrPublicSchema
	}
	return err
}

// grants gives role the use of what the connected role will make in the connected database, now and in upgrades. It
// comes before the schema, so that a REVOKE in the schema holds. Functions need no grant: PUBLIC may call them.
//
// Before version 15, PUBLIC may create in schema public.
func grants(role string) string {
	return strings.ReplaceAll(`
		REVOKE CREATE ON SCHEMA public FROM PUBLIC;
		GRANT USAGE ON SCHEMA public TO $role;
		ALTER DEFAULT PRIVILEGES GRANT USAGE ON SCHEMAS TO $role;
		ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO $role;
		ALTER DEFAULT PRIVILEGES GRANT USAGE, SELECT, UPDATE ON SEQUENCES TO $role`, "$role", Quote(role))
}

// Regrant gives role again what it has in the model, if it has lost what grants gives it: any member of the group may
// say DROP OWNED BY it. Of other differences nothing is mended here, so that a plan shows them.
func Regrant(ctx context.Context, target, model *pgx.ConnConfig, role string) error {
	conn, err := Connect(ctx, Pinned(target))
	if err != nil {
		return err
	}
	defer Disconnect(conn)
	var whole bool
	err = conn.QueryRow(ctx, `
		SELECT has_schema_privilege($1::name, 'public', 'USAGE') AND count(DISTINCT defaclobjtype) = 3
		FROM pg_default_acl, aclexplode(defaclacl)
		WHERE defaclnamespace = 0 AND defaclrole = current_user::regrole AND grantee = $1::text::regrole
		  AND defaclobjtype IN ('n', 'r', 'S')`,
		role).Scan(&whole)
	if err != nil || whole {
		return err
	}
	statements, err := grantsIn(ctx, model, role)
	if err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if err := Run(ctx, conn, grants(role)); err != nil {
			return err
		}
		for _, sql := range statements {
			// What the upgrade is going to make is not there yet.
			err := pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error { _, err := tx.Exec(ctx, sql); return err })
			missing := pgerr.IsState(err, pgerr.UndefinedTable, pgerr.UndefinedColumn, pgerr.UndefinedFunction,
				pgerr.InvalidSchemaName, pgerr.UndefinedObject)
			if err != nil && !missing {
				return err
			}
		}
		return nil
	})
}

// grantsIn returns the statements that grant role what it has in cfg's database.
func grantsIn(ctx context.Context, cfg *pgx.ConnConfig, role string) ([]string, error) {
	conn, err := Connect(ctx, Pinned(cfg))
	if err != nil {
		return nil, err
	}
	defer Disconnect(conn)
	rows, _ := conn.Query(ctx, `
		SELECT format('GRANT %s ON %s TO %I', x.privilege_type || columns, object, $1::text)
		FROM (
			SELECT nspacl, '', format('SCHEMA %I', nspname) FROM pg_namespace
			UNION ALL SELECT relacl, '', CASE relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || oid::regclass FROM pg_class
			UNION ALL SELECT attacl, format(' (%I)', attname), 'TABLE ' || attrelid::regclass FROM pg_attribute
			UNION ALL SELECT proacl, '', 'ROUTINE ' || oid::regprocedure FROM pg_proc
			UNION ALL SELECT typacl, '', 'TYPE ' || oid::regtype FROM pg_type
			UNION ALL SELECT srvacl, '', format('FOREIGN SERVER %I', srvname) FROM pg_foreign_server
		) o (acl, columns, object) CROSS JOIN aclexplode(acl) x
		WHERE x.grantee = $1::text::regrole`, role)
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// Withhold takes from role the tables, views and sequences of extensions, to which default privileges apply too: an
// extension grants what it wants used. It leaves the session's search_path as it was.
func Withhold(ctx context.Context, conn *pgx.Conn, role string) error {
	return Run(ctx, conn, strings.ReplaceAll(`
		DO $$
		DECLARE
			path pg_catalog.text := pg_catalog.current_setting('search_path'::pg_catalog.text);
			r pg_catalog.regclass;
		BEGIN
			PERFORM pg_catalog.set_config('search_path'::pg_catalog.text, 'pg_catalog, pg_temp'::pg_catalog.text, true);
			FOR r IN SELECT DISTINCT c.oid::regclass
				FROM pg_class c
				JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
				CROSS JOIN aclexplode(c.relacl) x
				WHERE x.grantee = '$role'::regrole
			LOOP
				EXECUTE format('REVOKE ALL ON TABLE %s FROM $role', r);
			END LOOP;
			PERFORM set_config('search_path', path, true);
		END $$`, "$role", Quote(role)))
}
