package provision_test

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

func (f *fixture) template() string { return f.prefix + "_template_" + f.schema.Hash() }

func TestTemplateIsBuiltOnceByManyProvisioners(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	both := []*provision.Provisioner{f.provisioner(t), f.provisioner(t)}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if err := both[i%2].PrepareTemplate(t.Context(), "one"); err != nil {
				t.Error(err)
			}
		})
	}
	pgtest.Wait(t, "every goroutine ends", wg.Wait)
	if n := f.schema.built.Load(); n != 1 {
		t.Errorf("built %d times", n)
	}
	got := f.list(t, f.admin, "SELECT concat_ws(' ', datistemplate, datallowconn) FROM pg_database WHERE datname = $1",
		f.template())
	if got != "t f" {
		t.Errorf("template, open to connections: %s", got)
	}
}

func TestHalfBuiltTemplateIsBuiltAnew(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	must(t, execute(t.Context(), f.admin, "CREATE DATABASE "+pgx.Identifier{f.template()}.Sanitize()))
	f.create(t, f.provisioner(t), "acme")
	if got := f.list(t, f.in(f.prefix+"acme"), "SELECT relname::text FROM pg_class WHERE relname = 'members'"); got == "" {
		t.Error("cloned from a template without the schema")
	}
}

func TestTemplateThatWasDroppedIsMadeAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	p := f.provisioner(t)
	f.create(t, p, "a")
	name := pgx.Identifier{f.template()}.Sanitize()
	must(t, execute(t.Context(), f.admin, "ALTER DATABASE "+name+" IS_TEMPLATE false"))
	must(t, execute(t.Context(), f.admin, "DROP DATABASE "+name))
	f.create(t, p, "b")
	if n := f.schema.built.Load(); n != 2 {
		t.Errorf("built %d times", n)
	}
}

func TestFailedBuildLeavesNoTemplate(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.schema.build += "; SELECT 1/0"
	p := f.provisioner(t)
	if err := p.PrepareTemplate(t.Context(), "one"); state(err) != "22012" {
		t.Fatal(err)
	}
	got := f.list(t, f.admin, "SELECT datname::text FROM pg_database WHERE datistemplate AND starts_with(datname, $1)",
		f.prefix)
	if got != "" {
		t.Errorf("marked as template: %s", got)
	}
}

// TestAdministratorNeedNotBeSuperuser does everything as a role that has CREATEDB and CREATEROLE.
func TestAdministratorNeedNotBeSuperuser(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	role := f.prefix + "admin"
	must(t, execute(t.Context(), f.admin, "CREATE ROLE "+pgx.Identifier{role}.Sanitize()+
		" LOGIN CREATEDB CREATEROLE PASSWORD 'x'"))
	super := f.admin
	f.admin = f.maintained(t)
	f.admin.User, f.admin.Password = role, "x"
	w := newWorld()
	p := f.survivor(t, w)
	tenant := f.create(t, p, "acme").Tenant
	conn, err := f.connect(t.Context(), tenant, tenant.Endpoint.Database)
	must(t, err)
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), "INSERT INTO members (name) VALUES (shout('bob'))")
	must(t, err)

	f.schema = &sqlSchema{build: members + "; CREATE TABLE notes (t text)", upgrade: "CREATE TABLE notes (t text)"}
	upgrader := f.survivor(t, w)
	_, err = upgrader.Upgrade(t.Context(), "acme", provision.Policy{})
	must(t, err)
	_, err = conn.Exec(t.Context(), "INSERT INTO notes VALUES ('what upgrades add is granted too')")
	must(t, err)

	must(t, p.Drop(t.Context(), "acme"))
	broken := f.provisioner(t, func(c *provision.Config) {
		c.Seed = func(context.Context, pgx.Tx, provision.Seed) error { return errBroken }
	})
	if _, err := broken.Create(t.Context(), request(t, "fail", "f@example.org")); err == nil {
		t.Fatal("no error")
	}
	_, err = p.Reconcile(t.Context())
	must(t, err)
	f.admin = super
	if got := f.residue(t); got != "role:"+role {
		t.Errorf("left: %s", got)
	}
}

// A new C library or ICU moves the version of a collation, and PostgreSQL clones no database of the old one.
func TestTemplateWhoseCollationMovedIsMadeAnew(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	if f.before15(t) {
		return // it does not know
	}
	p := f.provisioner(t)
	f.create(t, p, "before")
	move := func(database string) {
		t.Helper()
		must(t, execute(t.Context(), f.admin, "UPDATE pg_database SET datcollversion = '2.31' WHERE datname = "+
			"'"+database+"'"))
	}
	built := func(want int64) {
		t.Helper()
		if n := f.schema.built.Load(); n != want {
			t.Errorf("built %d times, want %d", n, want)
		}
	}
	move(f.template())
	f.create(t, p, "cold") // this process believes that all is ready
	built(2)
	move(f.template())
	must(t, f.provisioner(t).PrepareTemplate(t.Context(), "one")) // another one knows nothing
	built(3)
	move(f.template())
	old := f.schema.upgrade
	f.schema.upgrade = "SELECT 1"
	_, err := p.Upgrade(t.Context(), "before", provision.Policy{Force: true})
	must(t, err)
	f.schema.upgrade = old
	built(4)
	move(f.template())
	move(f.prefix + "cold")
	pass, err := p.Inspect(t.Context())
	must(t, err)
	built(4)
	if !slices.Equal(pass.Reindex, []tenancy.ID{"cold"}) {
		t.Errorf("to be reindexed: %v", pass.Reindex)
	}
	_, err = p.Reconcile(t.Context())
	must(t, err)
	built(5)
	must(t, p.PrepareTemplate(t.Context(), "one"))
	f.create(t, p, "after")
	built(5)
}
