package provision

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"
)

// grant does what grants says in cfg's database, and closes schema public.
func grant(ctx context.Context, cfg *pgx.ConnConfig, role string) error {
	conn, err := connect(ctx, pinned(cfg))
	if err != nil {
		return err
	}
	defer disconnect(conn)
	if err := run(ctx, conn, grants(role)); err != nil {
		return err
	}
	return closePublic(ctx, conn, role)
}

// settle takes back what the schema and its extensions gave away in cfg's database.
func (p *Provisioner) settle(ctx context.Context, cfg *pgx.ConnConfig) error {
	conn, err := connect(ctx, pinned(cfg))
	if err != nil {
		return err
	}
	defer disconnect(conn)
	if err := run(ctx, conn, withhold(p.names.groupRole())); err != nil {
		return err
	}
	return closePublic(ctx, conn, p.tenantRoles()...)
}

// tenantRoles are the roles that belong to every tenant.
func (p *Provisioner) tenantRoles() []string {
	roles := []string{p.names.groupRole()}
	if p.cfg.SharedRole != "" {
		roles = append(roles, p.cfg.SharedRole)
	}
	return roles
}

// closePublic takes the right to create in schema public of conn's database from PUBLIC and from roles, whoever gave it,
// and makes sure of it: a tenant could plant functions there that later upgrades call as the administrator. A schema may
// give it (old dumps say GRANT ALL ON SCHEMA public TO PUBLIC). Before version 15, PUBLIC has it, schema public is the
// first superuser's, and anybody else who takes it away is only warned. conn must be pinned.
func closePublic(ctx context.Context, conn *pgx.Conn, roles ...string) error {
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
		from += ", " + quote(role)
	}
	err = retryRaced(ctx, func() error { return run(ctx, conn, "REVOKE CREATE ON SCHEMA public FROM "+from) })
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
		ALTER DEFAULT PRIVILEGES GRANT USAGE, SELECT, UPDATE ON SEQUENCES TO $role`, "$role", quote(role))
}

// withhold takes from role the tables, views and sequences of extensions, to which default privileges apply too: an
// extension grants what it wants used. It leaves the session's search_path as it was.
func withhold(role string) string {
	return strings.ReplaceAll(`
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
		END $$`, "$role", quote(role))
}
