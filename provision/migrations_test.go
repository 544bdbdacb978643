package provision_test

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/provision/atlas"
	"github.com/pgtenancy/pgtenancy/provision/fingerprint"
)

// migrations returns the schema that the files, in turn, make.
func migrations(t *testing.T, files ...string) func(*provision.Config) {
	t.Helper()
	dir := fstest.MapFS{}
	for i, text := range files {
		dir[string(rune('1'+i))+".sql"] = &fstest.MapFile{Data: []byte(text)}
	}
	sum, err := atlas.MigrationsSum(dir, "")
	must(t, err)
	dir["atlas.sum"] = &fstest.MapFile{Data: sum}
	schema, err := atlas.Migrations(atlas.MigrationsConfig{FS: dir})
	must(t, err)
	return func(c *provision.Config) { c.Schema = schema }
}

// TestMigrationsBringOldTenantsToWhatNewOnesAre does so with an administrator that is no superuser.
func TestMigrationsBringOldTenantsToWhatNewOnesAre(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	name := f.prefix + "operator"
	must(t, execute(t.Context(), f.admin, "CREATE ROLE "+pgx.Identifier{name}.Sanitize()+" LOGIN CREATEDB CREATEROLE "+
		"PASSWORD 'x'"))
	superuser := f.admin
	t.Cleanup(func() { f.admin = superuser }) // who sweeps
	f.admin = f.maintained(t)
	f.admin.User, f.admin.Password = name, "x"

	const nick = "-- atlas:txmode none\n\nALTER TABLE members ADD COLUMN nick text;\nCREATE INDEX CONCURRENTLY " +
		"members_nick ON members (nick);\n"
	const view = "CREATE VIEW nicks AS SELECT nick FROM members; CREATE FUNCTION f() RETURNS integer LANGUAGE sql AS " +
		"'SELECT 1'"
	f.create(t, f.provisioner(t, migrations(t, members)), "old")
	p := f.provisioner(t, migrations(t, members, nick, view))
	report, err := p.Upgrade(t.Context(), "old", provision.Policy{})
	must(t, err)
	if !report.Applied || len(report.Changes) != 2 {
		t.Errorf("%+v", report)
	}
	result := f.create(t, p, "new")
	old, fresh := f.fingerprint(t, "old"), f.fingerprint(t, "new")
	if diff := old.Diff(fresh); diff != nil || !strings.Contains(strings.Join(old.Objects, "\n"), "view public.nicks") {
		t.Errorf("- only the old tenant, + only the new one: %v", diff)
	}
	conn, err := f.connect(t.Context(), result.Tenant, f.prefix+"new")
	must(t, err)
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), "SELECT nick FROM nicks"); err != nil {
		t.Errorf("the tenant's role and its view: %v", err)
	}
	if _, err := conn.Exec(t.Context(), "DELETE FROM pgtenancy.revisions"); err == nil {
		t.Error("the tenant's role may write to the revisions")
	}

	stamped := f.hash(t, "old")
	p = f.provisioner(t, migrations(t, members+";", nick, view))
	if _, err := p.Upgrade(t.Context(), "old", provision.Policy{}); !errors.As(err, new(*atlas.HistoryError)) ||
		f.hash(t, "old") != stamped {
		t.Errorf("after a file was edited: %v", err)
	}
}

// A stamp that stays while files of the next version are committed would be a lie.
func TestMigrationsThatStopHalfWayTakeTheStamp(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.create(t, f.provisioner(t, migrations(t, members)), "acme")
	stamped := f.hash(t, "acme")
	drift := f.in(f.prefix + "acme")
	must(t, execute(t.Context(), drift, "CREATE FUNCTION drift() RETURNS integer LANGUAGE sql AS 'SELECT 1'"))
	mismatch := (*provision.SchemaMismatchError)(nil)

	p := f.provisioner(t, migrations(t, members, "CREATE TABLE a ()"))
	if _, err := p.Upgrade(t.Context(), "acme", provision.Policy{}); !errors.As(err, &mismatch) ||
		f.hash(t, "acme") != stamped {
		t.Errorf("one file, which is rolled back: %v, stamp %q", err, f.hash(t, "acme"))
	}
	p = f.provisioner(t, migrations(t, members, "CREATE TABLE a ()", "CREATE TABLE b ()"))
	if _, err := p.Upgrade(t.Context(), "acme", provision.Policy{}); !errors.As(err, &mismatch) ||
		f.hash(t, "acme") != "" {
		t.Errorf("the second of two files: %v, stamp %q", err, f.hash(t, "acme"))
	}
	must(t, execute(t.Context(), drift, "DROP FUNCTION drift"))
	_, err := p.Upgrade(t.Context(), "acme", provision.Policy{})
	must(t, err)
	if f.hash(t, "acme") == "" {
		t.Error("not stamped at last")
	}
}

// fingerprint takes the fingerprint of a tenant's database.
func (f *fixture) fingerprint(t *testing.T, id string) *fingerprint.Fingerprint {
	t.Helper()
	got, err := fingerprint.Take(t.Context(), connect(t, f.in(f.prefix+id)))
	if err != nil {
		t.Fatal(err)
	}
	return got
}
