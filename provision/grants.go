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
