package provision_test

import (
	"fmt"
	"testing"

	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// TestSurveyRepairsAccess breaks each part of an access by hand, as a restore or an operator may, or a tenant's role
// before PostgreSQL 16.
func TestSurveyRepairsAccess(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	p := f.provisioner(t)
	for _, id := range []string{"acme", "other", "closed"} {
		f.create(t, p, id)
	}
	must(t, p.Suspend(t.Context(), "closed"))
	acme, group := quoted(f.prefix+"acme"), quoted(f.prefix+"_tenant")
	was := f.accesses(t)
	survey := func(want int) *provision.ReconcileReport {
		t.Helper()
		pass, err := p.Reconcile(t.Context())
		must(t, err)
		if len(pass.Repaired) != want {
			t.Errorf("repaired %v, want %d", pass.Repaired, want)
		}
		return pass
	}
	survey(0)
	for _, hole := range []string{
		"GRANT CONNECT ON DATABASE " + acme + " TO PUBLIC",
		"GRANT CONNECT ON DATABASE " + acme + " TO " + quoted(f.prefix+"other"),
		"ALTER DATABASE " + acme + " WITH ALLOW_CONNECTIONS false",
		"COMMENT ON DATABASE " + acme + " IS NULL",
		"ALTER ROLE " + acme + " CREATEDB BYPASSRLS",
		"ALTER ROLE " + acme + " CONNECTION LIMIT -1",
		"REVOKE " + group + " FROM " + acme,
		"GRANT " + acme + " TO " + quoted(f.prefix+"other"),
		"GRANT CONNECT ON DATABASE " + quoted(f.prefix+"closed") + " TO PUBLIC",
	} {
		must(t, execute(t.Context(), f.admin, hole))
		saw, err := p.Inspect(t.Context())
		must(t, err)
		if len(saw.Repaired) != 1 {
			t.Errorf("%s: inspected %v", hole, saw.Repaired)
		}
		survey(1)
		if is := f.accesses(t); is != was {
			t.Errorf("after %s:\n%s, was\n%s", hole, is, was)
		}
	}
	must(t, execute(t.Context(), f.admin, "ALTER ROLE "+acme+" CONNECTION LIMIT 3")) // an operator's
	survey(0)
	must(t, execute(t.Context(), f.admin, "REVOKE CONNECT ON DATABASE "+acme+" FROM "+acme))
	if pass := survey(0); len(pass.AccessFixed) != 1 {
		t.Errorf("settled %v", pass.AccessFixed)
	}
	f.settled(t, p, "acme")
}

// accesses is what the catalogue says of databases and roles with the prefix.
func (f *fixture) accesses(t *testing.T) string {
	t.Helper()
	return f.list(t, f.admin, `
		SELECT concat_ws(' ', datname, datallowconn, (SELECT string_agg(a::text, ',' ORDER BY a::text) FROM unnest(datacl) a),
			regexp_replace(shobj_description(oid, 'pg_database'), '"epoch":[0-9]+', '')) FROM pg_database
		WHERE starts_with(datname, $1)
		UNION ALL SELECT concat_ws(' ', rolname, rolsuper, rolcreatedb, rolbypassrls, rolconnlimit, rolcanlogin,
			(SELECT string_agg(roleid::regrole::text, ',' ORDER BY 1) FROM pg_auth_members WHERE member = r.oid))
		FROM pg_roles r WHERE starts_with(rolname, $1) ORDER BY 1`, f.prefix)
}

// TestAttackerWithATenantsRoleCannotPoisonItForGood has a role do to itself, its password and its database what keeps
// the service out or would have every upgrade refused.
func TestAttackerWithATenantsRoleCannotPoisonItForGood(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	p := f.provisioner(t)
	tenant := f.create(t, p, "acme").Tenant
	must(t, execute(t.Context(), f.admin,
		"ALTER DATABASE "+quoted(tenant.Endpoint.Database)+" SET statement_timeout = '30s'"))
	f.intrude(t, tenant).does(fmt.Sprintf(`
		ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC;
		ALTER DEFAULT PRIVILEGES FOR ROLE %[1]s GRANT SELECT ON TABLES TO PUBLIC;
		SELECT lo_create(4711); COMMENT ON LARGE OBJECT 4711 IS 'mine';
		DROP OWNED BY %[1]s;
		ALTER ROLE CURRENT_USER SET search_path = 'nowhere';
		ALTER ROLE CURRENT_USER IN DATABASE %[2]s SET default_transaction_read_only = on;
		ALTER ROLE CURRENT_USER SET local_preload_libraries = 'nowhere';
		ALTER ROLE CURRENT_USER PASSWORD 'mine'`, quoted(f.prefix+"_tenant"), quoted(tenant.Endpoint.Database)))

	pass, err := p.Reconcile(t.Context())
	must(t, err)
	first := provision.RoleSetting{Server: "one", Role: tenant.Endpoint.User, Setting: "local_preload_libraries"}
	if len(pass.RoleSettings) != 3 || pass.RoleSettings[0] != first {
		t.Errorf("settings: %v", pass.RoleSettings)
	}
	must(t, p.RotatePassword(t.Context(), "acme"))
	must(t, p.Suspend(t.Context(), "acme"))
	must(t, p.Resume(t.Context(), "acme"))
	const change = "ALTER TABLE members ADD nick text"
	f.schema = &sqlSchema{build: members + ";" + change, upgrade: change}
	_, err = f.provisioner(t).Upgrade(t.Context(), "acme", provision.Policy{})
	must(t, err)

	now, err := f.reg.Lookup(t.Context(), "acme")
	must(t, err)
	conn, err := f.connect(t.Context(), now, now.Endpoint.Database)
	must(t, err)
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), "INSERT INTO members (name, nick) VALUES ('ann', 'a')")
	must(t, err)
	var timeout string
	must(t, conn.QueryRow(t.Context(), "SHOW statement_timeout").Scan(&timeout))
	if timeout != "30s" {
		t.Errorf("the setting of the database is gone: %s", timeout)
	}
	if now.State != tenancy.Active {
		t.Error(now.State)
	}
}
