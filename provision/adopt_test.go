package provision_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// legacy is a database that somebody else made: under a name of its own, owned by its application's role.
type legacy struct {
	f              *fixture
	database, role string
	password       tenancy.Secret
}

// legacy makes one with the schema of f, a row, and comments of its owner's.
func (f *fixture) legacy(t *testing.T, name string) *legacy {
	t.Helper()
	l := &legacy{
		f: f, database: "Acme-Prod " + f.prefix + name, role: "App " + f.prefix + name,
		password: tenancy.NewSecret("of " + name),
	}
	for _, sql := range []string{
		l.sql("CREATE ROLE $role LOGIN PASSWORD '" + l.password.Reveal() + "'; COMMENT ON ROLE $role IS 'the app''s'"),
		l.sql("CREATE DATABASE $database OWNER $role"),
		l.sql(`COMMENT ON DATABASE $database IS E'an owner''s \\ note'`),
	} {
		must(t, execute(t.Context(), f.admin, sql))
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		must(t, execute(ctx, f.admin, l.sql("DROP DATABASE IF EXISTS $database WITH (FORCE)")))
		must(t, execute(ctx, f.admin, l.sql("DROP ROLE IF EXISTS $role")))
	})
	own := l.config()
	must(t, execute(t.Context(), own, f.schema.build))
	must(t, execute(t.Context(), own, "INSERT INTO members (name) VALUES ('Ada'); INSERT INTO admins VALUES ('1', 'x')"))
	return l
}

func (l *legacy) sql(sql string) string {
	return strings.NewReplacer("$database", pgx.Identifier{l.database}.Sanitize(), "$role",
		pgx.Identifier{l.role}.Sanitize()).Replace(sql)
}

// config is how the application logs in.
func (l *legacy) config() *pgx.ConnConfig {
	cfg := l.f.in(l.database)
	cfg.User, cfg.Password = l.role, l.password.Reveal()
	return cfg
}

func (l *legacy) request(id tenancy.ID) provision.AdoptRequest {
	return provision.AdoptRequest{ID: id, Server: "one", Database: l.database, Role: l.role, Password: l.password}
}

// marks are what an adoption may change on the server.
func (l *legacy) marks(t *testing.T) string {
	t.Helper()
	return l.f.list(t, l.f.admin, `
		SELECT concat_ws('|', d.datname, pg_get_userbyid(d.datdba), d.datallowconn, shobj_description(d.oid, 'pg_database'),
			(SELECT string_agg(concat_ws(' ', x.grantee = 0, x.privilege_type), ',' ORDER BY x.privilege_type)
				FROM aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) x WHERE x.grantee = 0),
			r.rolname, r.rolconnlimit, r.rolcanlogin, r.rolcreatedb, shobj_description(r.oid, 'pg_authid'),
			(SELECT count(*) FROM pg_auth_members m WHERE m.member = r.oid))
		FROM pg_database d, pg_roles r WHERE d.datname = $1 AND r.rolname = $2`, l.database, l.role)
}

func TestAdoptedDatabaseIsATenantsAsAnyIs(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	p := f.provisioner(t)
	l := f.legacy(t, "one")
	other := f.create(t, p, "other")
	was := l.marks(t)

	req := l.request("acme")
	req.DryRun = true
	plan, err := p.Adopt(t.Context(), req)
	must(t, err)
	if l.marks(t) != was || len(plan.Changes) < 4 || plan.Drift != nil || f.residue(t) != f.active("other") {
		t.Fatalf("the dry run: %d changes, drift %q, now %s", len(plan.Changes), plan.Drift, l.marks(t))
	}
	req.DryRun, req.Aliases = false, []string{"acme.example.com"}
	made, err := p.Adopt(t.Context(), req)
	must(t, err)
	if !slices.Equal(made.Changes, plan.Changes) || made.Drift != nil || made.Tenant.SchemaHash != f.schema.Hash() {
		t.Errorf("adopted with %q, drift %q, planned %q", made.Changes, made.Drift, plan.Changes)
	}
	if saw, err := f.visit(t.Context(), "acme"); err != nil || !strings.HasPrefix(saw, "1 admins") {
		t.Errorf("visit: %s, %v", saw, err)
	}
	if conn, err := f.connect(t.Context(), other.Tenant, l.database); err == nil {
		_ = conn.Close(t.Context())
		t.Error("another tenant's role may connect")
	}
	f.surveyed(t, p)

	must(t, p.Suspend(t.Context(), "acme"))
	if _, err := f.visit(t.Context(), "acme"); err == nil {
		t.Error("a suspended one lets its role in")
	}
	f.surveyed(t, p)
	must(t, p.Resume(t.Context(), "acme"))
	must(t, p.RotatePassword(t.Context(), "acme"))
	if _, err := f.visit(t.Context(), "acme"); err != nil {
		t.Errorf("after a rotation: %v", err)
	}
	if err := execute(t.Context(), l.config(), "SELECT"); err == nil {
		t.Error("the old password is good")
	}
	newer := f.provisioner(t, func(c *provision.Config) {
		c.Schema = &sqlSchema{build: members + "; CREATE TABLE notes (id bigint)", upgrade: "CREATE TABLE notes (id bigint)"}
	})
	_, err = newer.Upgrade(t.Context(), "acme", provision.Policy{})
	must(t, err)
	f.surveyed(t, p)

	tag := f.list(t, f.admin, "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = $1", l.database)
	must(t, execute(t.Context(), f.admin, l.sql("COMMENT ON DATABASE $database IS 'restored by hand'")))
	if err := p.Drop(t.Context(), "acme"); !errors.Is(err, provision.ErrNotOurs) {
		t.Errorf("Drop without the tag: %v", err)
	}
	must(t, execute(t.Context(), f.admin, l.sql("COMMENT ON DATABASE $database IS '"+tag+"'")))
	must(t, p.Drop(t.Context(), "acme"))
	if f.residue(t) != f.active("other") || l.f.list(t, f.admin, "SELECT datname::text FROM pg_database WHERE datname = $1",
		l.database) != "" {
		t.Errorf("after the drop: %s", f.residue(t))
	}
	if got := f.list(t, f.admin, "SELECT concat(rolcanlogin, shobj_description(oid, 'pg_authid')) FROM pg_roles "+
		"WHERE rolname = $1", l.role); got != "tthe app's" {
		t.Errorf("the application's role: %q", got)
	}
}

// surveyed fails the test if a survey of f's servers finds anything to tell.
func (f *fixture) surveyed(t *testing.T, p *provision.Provisioner) {
	t.Helper()
	r, err := p.Reconcile(t.Context())
	must(t, err)
	if n := len(r.Missing) + len(r.NotOurs) + len(r.Repaired) + len(r.AccessFixed) + len(r.Unknown); n > 0 {
		t.Errorf("a survey found missing %v, not ours %v, repaired %v, fixed %v, unknown %q",
			r.Missing, r.NotOurs, r.Repaired, r.AccessFixed, r.Unknown)
	}
}

func TestReleaseIsTheWayBack(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	p := f.provisioner(t)
	for i, prepare := range []func(id tenancy.ID){
		func(tenancy.ID) {},
		func(id tenancy.ID) { must(t, p.Suspend(t.Context(), id)) },
	} {
		l := f.legacy(t, fmt.Sprint(i))
		was, id := l.marks(t), tenancy.ID(fmt.Sprintf("acme%d", i))
		_, err := p.Adopt(t.Context(), l.request(id))
		must(t, err)
		if l.marks(t) == was {
			t.Fatal("the adoption left no mark")
		}
		prepare(id)
		must(t, p.Release(t.Context(), id))
		if now := l.marks(t); now != was {
			t.Errorf("released: %s\nbefore:   %s", now, was)
		}
		must(t, execute(t.Context(), l.config(), "INSERT INTO members (name) VALUES ('Grace')"))
		if got := f.residue(t); got != f.active() {
			t.Errorf("left: %s", got)
		}
		if _, err := p.Adopt(t.Context(), l.request(id)); !errors.Is(err, registry.ErrIDTaken) {
			t.Errorf("its id again: %v", err)
		}
	}
}

func TestAdoptionMakesARoleWhereNoneIsGiven(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	p := f.provisioner(t)
	l := f.legacy(t, "one")
	req := provision.AdoptRequest{ID: "acme", Server: "one", Database: l.database, OtherRoles: []string{l.role}}
	made, err := p.Adopt(t.Context(), req)
	must(t, err)
	if made.Drift != nil || made.Tenant.Endpoint.User != f.prefix+"acme" ||
		strings.Contains(strings.Join(made.Changes, ";"), "SCRAM-SHA-256") {
		t.Errorf("role %q, drift %q, changes %q", made.Tenant.Endpoint.User, made.Drift, made.Changes)
	}
	if saw, err := f.visit(t.Context(), "acme"); err != nil || !strings.HasPrefix(saw, "1 admins") {
		t.Errorf("visit: %s, %v", saw, err)
	}
	must(t, execute(t.Context(), l.config(), "SELECT"))
	f.surveyed(t, p)
	must(t, p.Drop(t.Context(), "acme"))
	if got := f.residue(t); got != f.active() {
		t.Errorf("left: %s", got)
	}
}

func TestAdoptedSharedRoleStaysAsItIs(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	p := f.provisioner(t)
	one, two := f.legacy(t, "one"), f.legacy(t, "two")
	must(t, execute(t.Context(), f.admin, one.sql("ALTER ROLE $role CREATEDB")))
	two.role, two.password = one.role, one.password
	must(t, execute(t.Context(), f.admin, two.sql("ALTER DATABASE $database OWNER TO $role")))
	must(t, execute(t.Context(), f.in(two.database), two.sql("GRANT ALL ON ALL TABLES IN SCHEMA public TO $role")))
	for i, l := range []*legacy{one, two} {
		req := l.request(tenancy.ID(fmt.Sprintf("t%d", i)))
		req.SharedRole = true
		_, err := p.Adopt(t.Context(), req)
		must(t, err)
	}
	f.surveyed(t, p)
	must(t, p.Suspend(t.Context(), "t0"))
	if _, err := f.visit(t.Context(), "t0"); err == nil {
		t.Error("the suspended one lets the role in")
	}
	if _, err := f.visit(t.Context(), "t1"); err != nil {
		t.Errorf("the other one: %v", err)
	}
	if err := p.RotatePassword(t.Context(), "t1"); !errors.Is(err, provision.ErrSharedRole) {
		t.Errorf("RotatePassword: %v", err)
	}
	f.surveyed(t, p)
	must(t, p.Drop(t.Context(), "t0"))
	if got := f.list(t, f.admin, "SELECT rolcreatedb::text FROM pg_roles WHERE rolname = $1", one.role); got != "true" {
		t.Errorf("the role has CREATEDB: %s", got)
	}
	must(t, p.Release(t.Context(), "t1"))
}

func TestDriftOfAnAdoptedDatabaseIsNamed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	p := f.provisioner(t)
	l := f.legacy(t, "one")
	must(t, execute(t.Context(), l.config(), "ALTER TABLE members ADD nick text"))
	for _, dry := range []bool{true, false} {
		req := l.request("acme")
		req.DryRun = dry
		made, err := p.Adopt(t.Context(), req)
		must(t, err)
		if len(made.Drift) != 1 || !strings.Contains(made.Drift[0], "- column public.members.nick") ||
			made.Tenant.SchemaHash != "" {
			t.Errorf("dry %t: drift %q, stamp %q", dry, made.Drift, made.Tenant.SchemaHash)
		}
	}
}

func TestWhatCannotBeAdoptedIsLeftAlone(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	p := f.provisioner(t)
	l := f.legacy(t, "one")
	other := f.create(t, p, "other")
	mighty := f.prefix + "mighty"
	must(t, execute(t.Context(), f.admin, "CREATE ROLE "+mighty+" LOGIN SUPERUSER"))
	adoptErr := new(*provision.AdoptError)
	was, residue := l.marks(t), f.residue(t)
	for name, c := range map[string]struct {
		change func(*provision.AdoptRequest)
		want   any
	}{
		"no database":         {func(r *provision.AdoptRequest) { r.Database = "" }, adoptErr},
		"an unknown database": {func(r *provision.AdoptRequest) { r.Database = "none" }, adoptErr},
		"template1":           {func(r *provision.AdoptRequest) { r.Database = "template1" }, adoptErr},
		"the maintenance one": {func(r *provision.AdoptRequest) { r.Database = f.admin.Database }, adoptErr},
		"an unknown role":     {func(r *provision.AdoptRequest) { r.Role = "none" }, adoptErr},
		"a superuser":         {func(r *provision.AdoptRequest) { r.Role, r.Password = mighty, tenancy.Secret{} }, adoptErr},
		"a password alone":    {func(r *provision.AdoptRequest) { r.Role = "" }, adoptErr},
		"a wrong password":    {func(r *provision.AdoptRequest) { r.Password = tenancy.NewSecret("wrong") }, nil},
		"an invalid id":       {func(r *provision.AdoptRequest) { r.ID = "Acme" }, tenancy.ErrInvalidID},
		"an unknown server":   {func(r *provision.AdoptRequest) { r.Server = "two" }, registry.ErrServerNotFound},
		"another's database": {
			func(r *provision.AdoptRequest) { r.Database = other.Tenant.Endpoint.Database }, provision.ErrNotOurs,
		},
		"another's role":       {func(r *provision.AdoptRequest) { r.Role = other.Tenant.Endpoint.User }, nil},
		"an id that is in use": {func(r *provision.AdoptRequest) { r.ID = "other" }, nil},
	} {
		req := l.request("acme")
		c.change(&req)
		_, err := p.Adopt(t.Context(), req)
		switch want := c.want.(type) {
		case error:
			if !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", name, err, want)
			}
		case **provision.AdoptError:
			if !errors.As(err, want) {
				t.Errorf("%s: %v, want an AdoptError", name, err)
			}
		default:
			if err == nil {
				t.Errorf("%s: no error", name)
			}
		}
		if l.marks(t) != was || f.residue(t) != residue {
			t.Errorf("%s: something was changed: %s", name, f.residue(t))
		}
	}
	must(t, p.Drop(t.Context(), "other"))
}
