package provision_test

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/provision/atlas"
	"github.com/pgtenancy/pgtenancy/provision/fingerprint"
)

// history is the schema of migrations, each with the text that follows its name.
func history(t *testing.T, list ...string) provision.Schema {
	t.Helper()
	dir := fstest.MapFS{}
	for i := 0; i < len(list); i += 2 {
		dir[list[i]] = &fstest.MapFile{Data: []byte(list[i+1])}
	}
	sum, err := atlas.MigrationsSum(dir, "")
	must(t, err)
	dir["atlas.sum"] = &fstest.MapFile{Data: sum}
	s, err := atlas.Migrations(atlas.MigrationsConfig{FS: dir})
	must(t, err)
	return s
}

const reopened = "CREATE TABLE members (id int, name text NOT NULL); GRANT ALL ON SCHEMA public TO PUBLIC;"

func TestAttackerGetsNoRightToCreateFromASchemaThatOpensPublic(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	tenant := f.create(t, f.of(t, files(t, "a.sql", reopened)), "acme").Tenant
	conn, err := f.connect(t.Context(), tenant, tenant.Endpoint.Database)
	must(t, err)
	defer conn.Close(t.Context())
	const plant = "CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'SELECT 1'"
	if _, err := conn.Exec(t.Context(), plant); state(err) != "42501" {
		t.Errorf("of a new tenant: %v", err)
	}
	// One of an older release that did not look.
	must(t, execute(t.Context(), f.in(f.prefix+"acme"),
		`GRANT ALL ON SCHEMA public TO PUBLIC, "`+f.prefix+`_tenant", "`+f.prefix+`acme"`))
	_, err = f.of(t, files(t, "a.sql", reopened+"CREATE TABLE notes (t text)")).Upgrade(t.Context(), "acme",
		provision.Policy{})
	must(t, err)
	if _, err := conn.Exec(t.Context(), plant); state(err) != "42501" {
		t.Errorf("after an upgrade: %v", err)
	}
}

// overloads are functions and operators that PostgreSQL prefers to its own where a call does not say what it means.
// Each counts its calls, in a sequence, which no rollback takes back.
func overloads() string {
	var b strings.Builder
	b.WriteString(`CREATE SEQUENCE public.calls;
		CREATE FUNCTION public.called(oid, regclass) RETURNS boolean LANGUAGE sql AS $$SELECT pg_catalog.nextval('public.calls') > 0$$;
		CREATE OPERATOR public.= (FUNCTION = public.called, LEFTARG = oid, RIGHTARG = regclass);
		CREATE FUNCTION public.called(oid, regrole) RETURNS boolean LANGUAGE sql AS $$SELECT pg_catalog.nextval('public.calls') > 0$$;
		CREATE OPERATOR public.= (FUNCTION = public.called, LEFTARG = oid, RIGHTARG = regrole);`)
	for _, f := range []struct{ signature, result string }{
		{"pg_advisory_xact_lock(double precision)", "boolean"},
		{"pg_advisory_lock(double precision)", "boolean"},
		{"pg_try_advisory_lock(double precision)", "boolean"},
		{"pg_advisory_unlock(double precision)", "boolean"},
		{"format(text, regclass)", "text"},
		{"lower(varchar)", "text"},
		{"to_regclass(varchar)", "text"},
		{"set_config(text, varchar, boolean)", "text"},
		{"current_setting(varchar)", "text"},
		{"shobj_description(oid, text)", "text"},
		{"pg_describe_object(oid, oid, bigint)", "text"},
		{"quote_ident(varchar)", "text"},
		{"has_schema_privilege(text, oid, varchar)", "boolean"},
	} {
		b.WriteString("CREATE FUNCTION public." + f.signature + " RETURNS " + f.result +
			" LANGUAGE sql AS $$SELECT (pg_catalog.nextval('public.calls') > 0)::" + f.result + "$$;\n")
	}
	return b.String()
}

func TestAttackerPlantsNoFunctionThatTheAdministratorCalls(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const first = "CREATE TABLE members (id int, name text NOT NULL); "
	p := f.of(t, history(t, "1.sql", first))
	tenant := f.create(t, p, "acme").Tenant
	db := f.in(tenant.Endpoint.Database)
	must(t, execute(t.Context(), db, "GRANT ALL ON SCHEMA public TO PUBLIC"))
	conn, err := f.connect(t.Context(), tenant, tenant.Endpoint.Database)
	must(t, err)
	defer conn.Close(t.Context())
	_, err = conn.PgConn().Exec(t.Context(), overloads()).ReadAll()
	must(t, err)
	_, err = conn.Exec(t.Context(), "GRANT USAGE ON SEQUENCE calls TO PUBLIC")
	must(t, err)
	calls := func() string { return f.list(t, db, "SELECT last_value || ' ' || is_called FROM public.calls") }

	// What is planted would be called, or this test showed nothing.
	must(t, execute(t.Context(), db, "SELECT pg_advisory_lock(1.5), pg_try_advisory_lock(1.5), "+
		"pg_advisory_xact_lock(1.5)"))
	must(t, execute(t.Context(), db, "SELECT count(*) FROM pg_class WHERE oid = 'pg_class'::regclass"))
	before := calls()
	if before == "1 false" {
		t.Fatal("nothing that is planted is ever called")
	}
	unchanged := func(what string) {
		t.Helper()
		if now := calls(); now != before {
			t.Errorf("%s called what the tenant had planted: %s, then %s", what, before, now)
			before = now
		}
	}

	repeatable, err := atlas.SQL(atlas.Config{
		Text: first + "CREATE TABLE notes (t text)", FS: fstest.MapFS{"r.sql": {Data: []byte("SELECT " +
			"1")}}, Repeatable: []string{"r.sql"},
	})
	must(t, err)
	schemas := map[string]provision.Schema{
		"SQL": files(t, "a.sql", first+"CREATE TABLE notes (t text)"), "Repeatable": repeatable,
		"Migrations": history(t, "1.sql", first, "2.sql", "CREATE TABLE notes (t text)"),
		"steps": history(t, "1.sql", first, "2.sql",
			"-- atlas:txmode none\n\nCREATE INDEX CONCURRENTLY i ON members (id)"),
	}
	for name, s := range schemas {
		for _, policy := range []provision.Policy{{DryRun: true}, {}} {
			if _, err := f.of(t, s).Upgrade(t.Context(), "acme", policy); !errors.Is(err, provision.ErrTenantObjects) {
				t.Errorf("%s: %v, want ErrTenantObjects", name, err)
			}
			unchanged(name)
		}
	}
	// Should the check miss them: none is called by what is ours.
	must(t, execute(t.Context(), db, `REASSIGN OWNED BY "`+tenant.Endpoint.User+`" TO CURRENT_USER`))
	for name, s := range schemas {
		for _, policy := range []provision.Policy{{DryRun: true}, {}} {
			_, _ = f.of(t, s).Upgrade(t.Context(), "acme", policy) // most are refused: the catalogues differ
			unchanged(name + " past the check")
		}
	}
	r := f.resolver(t, f.reg)
	lease, err := r.Acquire(t.Context(), "acme")
	must(t, err)
	must(t, lease.Pool().Ping(t.Context()))
	lease.Release()
	unchanged("the fence")
	if _, err := fingerprint.Take(t.Context(), connect(t, db)); err != nil {
		t.Fatal(err)
	}
	unchanged("fingerprint.Take")
	for name, do := range map[string]func() error{
		"RotatePassword": func() error { return p.RotatePassword(t.Context(), "acme") },
		"Suspend":        func() error { return p.Suspend(t.Context(), "acme") },
		"Inspect":        func() error { _, err := p.Inspect(t.Context()); return err },
		"Reconcile":      func() error { _, err := p.Reconcile(t.Context()); return err },
	} {
		must(t, do())
		unchanged(name)
	}
	must(t, p.Resume(t.Context(), "acme"))
	unchanged("Resume")
}
