package provision

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"
)

// grant does what grants says in cfg's database, and makes sure of it. Before version 15, schema public is the first
// superuser's, and whoever else takes a right on it from PUBLIC is only warned: a tenant's role could plant functions that
// later upgrades call as the administrator.
func grant(ctx context.Context, cfg *pgx.ConnConfig, role string) error {
	conn, err := connect(ctx, pinned(cfg))
	if err != nil {
		return err
	}
	defer disconnect(conn)
	if err := run(ctx, conn, grants(role)); err != nil {
		return err
	}
	var open bool
	err = conn.QueryRow(ctx, "SELECT has_schema_privilege('public', 'public', 'CREATE')").Scan(&open)
	if err == nil && open {
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
		ALTER DEFAULT PRIVILEGES GRANT USAGE, SELECT, UPDATE ON SEQUENCES TO $role`, "$role", quote(role))
}

// regrant gives role again what it has in the model, if it has lost what grants gives it: any member of the group may
// say DROP OWNED BY it. Of other differences nothing is mended here, so that a plan shows them.
func regrant(ctx context.Context, target, model *pgx.ConnConfig, role string) error {
	conn, err := connect(ctx, pinned(target))
	if err != nil {
		return err
	}
	defer disconnect(conn)
	var whole bool
	err = conn.QueryRow(ctx, `
		SELECT has_schema_privilege($1, 'public', 'USAGE') AND count(DISTINCT defaclobjtype) = 3
		FROM pg_default_acl, aclexplode(defaclacl)
		WHERE defaclnamespace = 0 AND defaclrole = current_user::regrole AND grantee = $1::regrole
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
		if err := run(ctx, conn, grants(role)); err != nil {
			return err
		}
		for _, sql := range statements {
			// What the upgrade is going to make is not there yet.
			err := pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error { _, err := tx.Exec(ctx, sql); return err })
			missing := isState(err, undefinedTable, undefinedColumn, undefinedFunction, invalidSchemaName, undefinedObject)
			if err != nil && !missing {
				return err
			}
		}
		return nil
	})
}

// grantsIn returns the statements that grant role what it has in cfg's database.
func grantsIn(ctx context.Context, cfg *pgx.ConnConfig, role string) ([]string, error) {
	conn, err := connect(ctx, pinned(cfg))
	if err != nil {
		return nil, err
	}
	defer disconnect(conn)
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
		WHERE x.grantee = $1::regrole`, role)
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// withhold takes from role the tables, views and sequences of extensions, to which default privileges apply too: an
// extension grants what it wants used.
func withhold(role string) string {
	return strings.ReplaceAll(`
		DO $$
		DECLARE r regclass;
		BEGIN
			FOR r IN SELECT DISTINCT c.oid::regclass
				FROM pg_class c
				JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
				CROSS JOIN aclexplode(c.relacl) x
				WHERE x.grantee = '$role'::regrole
			LOOP
				EXECUTE format('REVOKE ALL ON TABLE %s FROM $role', r);
			END LOOP;
		END $$`, "$role", quote(role))
}
