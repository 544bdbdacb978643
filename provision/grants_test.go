package provision_test

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgadmin"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/provision"
)

// revoking is a schema that keeps tenants from some of its objects.
const revoking = members + `;
	CREATE TABLE ledger (entry text);
	CREATE FUNCTION purge() RETURNS void LANGUAGE sql AS 'SELECT';
	CREATE SCHEMA app; CREATE TABLE app.open (i serial);
	CREATE VIEW names AS SELECT name FROM members;
	REVOKE EXECUTE ON FUNCTION purge() FROM PUBLIC;
	CREATE EXTENSION dblink; CREATE EXTENSION pg_buffercache`

func TestRevokeInTheSchemaHolds(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.schema.build = revoking + `; REVOKE INSERT, UPDATE, DELETE ON ledger FROM "` + f.prefix + `_tenant"`
	p := f.provisioner(t)
	tenant := f.create(t, p, "acme").Tenant
	conn, err := f.connect(t.Context(), tenant, tenant.Endpoint.Database)
	must(t, err)
	defer conn.Close(t.Context())
	for sql, want := range map[string]string{
		"SELECT * FROM ledger":                                              "",
		"INSERT INTO app.open DEFAULT VALUES":                               "",
		"SELECT * FROM names":                                               "",
		"SELECT shout('a')":                                                 "",
		"INSERT INTO ledger VALUES ('forged')":                              "42501",
		"SELECT purge()":                                                    "42501",
		"SELECT dblink_connect_u('dbname=x')":                               "42501",
		"CREATE TEMPORARY TABLE mine (i int)":                               "42501",
		"CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'SELECT 1'": "42501",
	} {
		if _, err := conn.Exec(t.Context(), sql); state(err) != want || want == "" && err != nil {
			t.Errorf("%s: %v", sql, err)
		}
	}
	var buffers bool
	must(t, conn.QueryRow(t.Context(), "SELECT has_table_privilege('pg_buffercache', 'SELECT')").Scan(&buffers))
	if buffers {
		t.Error("the view of an extension was granted")
	}
}

// An extension that an upgrade adds is treated as an extension of the template.
func TestUpgradeGrantsNothingOfAnExtension(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	tenant := f.create(t, f.provisioner(t), "acme").Tenant
	const extension = "CREATE EXTENSION pg_buffercache"
	f.schema = &sqlSchema{build: members + ";" + extension, upgrade: extension}
	_, err := f.provisioner(t).Upgrade(t.Context(), "acme", provision.Policy{})
	must(t, err)
	got := f.list(t, f.in(tenant.Endpoint.Database), "SELECT has_table_privilege($1, 'pg_buffercache', 'SELECT')::text",
		tenant.Endpoint.User)
	if got != "false" {
		t.Error("the view of an extension was granted")
	}
}

// Before version 15, and in what was upgraded from there, PUBLIC may create in schema public.
func TestTenantsMayNotCreateInPublicWhateverTheVersion(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	must(t, f.provisioner(t).PrepareTemplate(t.Context(), "one")) // makes the role
	cfg, group := pgtest.Database(t).ConnConfig, f.prefix+"_tenant"
	must(t, execute(t.Context(), cfg, "GRANT CREATE ON SCHEMA public TO PUBLIC"))
	must(t, pgadmin.Grant(t.Context(), cfg, group))
	if got := f.list(t, cfg, "SELECT has_schema_privilege($1, 'public', 'CREATE')::text", group); got != "false" {
		t.Error("tenants may create in schema public")
	}
}

// Before version 15, schema public is a superuser's, and PostgreSQL only warns an administrator that is none.
func TestAdministratorThatCannotClosePublicMakesNoTemplate(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	must(t, f.provisioner(t).PrepareTemplate(t.Context(), "one")) // makes the role
	admin, cfg := f.administrator(t), pgtest.Database(t).ConnConfig
	must(t, execute(t.Context(), f.admin, "ALTER ROLE "+pgx.Identifier{admin.User}.Sanitize()+" NOSUPERUSER"))
	must(t, execute(t.Context(), cfg, "ALTER SCHEMA public OWNER TO CURRENT_USER; GRANT CREATE ON SCHEMA public TO "+
		"PUBLIC"))
	admin.Database = cfg.Database
	if err := pgadmin.Grant(t.Context(), admin, f.prefix+"_tenant"); !errors.Is(err, provision.ErrPublicSchema) {
		t.Errorf("got %v", err)
	}
}

func TestRoleHasALimitOfConnections(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for id, limit := range map[string]int{"default": 0, "three": 3, "none": -5} {
		f.create(t, f.provisioner(t, func(c *provision.Config) { c.TenantConnLimit = limit }), id)
	}
	got := f.list(t, f.admin, "SELECT rolconnlimit::text FROM pg_roles WHERE rolcanlogin AND starts_with(rolname, $1) "+
		"ORDER BY rolname",
		f.prefix)
	if got != "64 -1 3" {
		t.Errorf("limits: %s", got)
	}
}
