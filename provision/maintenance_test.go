package provision_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// maintained is f.admin with a maintenance database of the test's own.
func (f *fixture) maintained(t *testing.T) *pgx.ConnConfig {
	t.Helper()
	return f.in(pgtest.Database(t).ConnConfig.Database)
}

// planted are functions that fit the administrator's calls better than PostgreSQL's own, which take a name.
const planted = `
	GRANT CREATE ON SCHEMA public TO PUBLIC;
	CREATE FUNCTION public.shobj_description(oid, text) RETURNS text LANGUAGE plpgsql
		AS $$ BEGIN RAISE EXCEPTION 'called as %', current_user; END $$;
	CREATE FUNCTION public.pg_has_role(text, text) RETURNS boolean LANGUAGE plpgsql
		AS $$ BEGIN RAISE EXCEPTION 'called as %', current_user; END $$`

func TestFunctionsPlantedInTheMaintenanceDatabaseAreNotCalled(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	admin := f.maintained(t)
	must(t, execute(t.Context(), admin, planted))
	p := f.provisioner(t, func(c *provision.Config) { c.Admin = admin })
	f.create(t, p, "acme")
	must(t, p.Suspend(t.Context(), "acme"))
	_, err := p.Reconcile(t.Context())
	must(t, err)
	must(t, p.Drop(t.Context(), "acme"))
}

func TestAdministratorThatMayNotKeepTenantsOutIsWarned(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	if f.before15(t) {
		return // superusers may
	}
	admin := f.administrator(t)
	var log bytes.Buffer
	p := f.provisioner(t, func(c *provision.Config) { c.Admin, c.Logger = admin, logTo(&log) })
	f.create(t, p, "acme")
	if line := log.String(); !strings.Contains(line, "level=WARN") ||
		!strings.Contains(line, "server=one database="+admin.Database) {
		t.Errorf("logged: %s", line)
	}
}

// A tenant's role that came into another database, by a right that it should not have had, cannot keep itself from
// being dropped.
func TestRoleThatOwnsThingsElsewhereIsDropped(t *testing.T) {
	t.Parallel()
	for name, login := range map[string]func(*fixture, *testing.T) *pgx.ConnConfig{
		"superuser": (*fixture).maintained, "administrator": (*fixture).administrator,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			if name == "administrator" && f.before15(t) {
				return // is a superuser
			}
			dropPlanter(t, f, login)
		})
	}
}

func dropPlanter(t *testing.T, f *fixture, login func(*fixture, *testing.T) *pgx.ConnConfig) {
	t.Helper()
	admin, other := login(f, t), f.in(pgtest.Database(t).ConnConfig.Database)
	p := f.provisioner(t, func(c *provision.Config) { c.Admin = admin })
	tenant := f.create(t, p, "acme").Tenant
	maintenance := f.in(admin.Database)
	if admin.User == f.admin.User { // the other one could not take the right from PUBLIC
		must(t, execute(t.Context(), maintenance, "GRANT CONNECT ON DATABASE "+
			pgx.Identifier{admin.Database}.Sanitize()+" TO "+pgx.Identifier{tenant.Endpoint.User}.Sanitize()))
	}
	plant(t, f, tenant, maintenance)
	plant(t, f, tenant, other)
	must(t, p.Drop(t.Context(), "acme"))
	if got := f.list(t, f.admin, "SELECT rolname::text FROM pg_roles WHERE rolname = $1",
		tenant.Endpoint.User); got != "" {
		t.Errorf("left: %s", got)
	}
	for _, cfg := range []*pgx.ConnConfig{maintenance, other} {
		if got := f.list(t, cfg, "SELECT oid::text FROM pg_largeobject_metadata"); got != "" {
			t.Errorf("large objects left in %s: %s", cfg.Database, got)
		}
	}
}

// plant makes a large object, as the tenant's role, in the database of cfg.
func plant(t *testing.T, f *fixture, tenant tenancy.Tenant, cfg *pgx.ConnConfig) {
	t.Helper()
	conn, err := f.connect(t.Context(), tenant, cfg.Database)
	must(t, err)
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), "SELECT lo_create(0)")
	must(t, err)
}
