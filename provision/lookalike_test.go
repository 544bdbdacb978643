package provision_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/provision"
)

// lookalike is a kind of database and role that look like a tenant's and are no tenant's. $id stands for an id, $name
// for the name that a tenant with that id would have, and $owner for our owner.
type lookalike struct {
	sql   string
	alike bool // a sign-up with that id could not tell it from its own
}

func lookalikes() []lookalike {
	const ours = `{"pgtenancy":1,"tenant":"$id","epoch":1}`
	const theirs = `{"pgtenancy":1,"tenant":"somebody","epoch":1}`
	return []lookalike{
		{sql: `CREATE DATABASE "$name"`},
		{sql: `CREATE DATABASE "$name"; CREATE ROLE "$name" LOGIN`},
		{sql: `CREATE DATABASE "$name"; COMMENT ON DATABASE "$name" IS '` + ours + `'`},
		{sql: `CREATE DATABASE "$name"; COMMENT ON DATABASE "$name" IS '` + theirs + `'; CREATE ROLE "$name"; COMMENT ON ROLE "$name" IS '` + theirs + `'`},
		{sql: `CREATE DATABASE "$name" OWNER "$owner"; COMMENT ON DATABASE "$name" IS 'restored by hand'`},
		{sql: `CREATE DATABASE "$name" OWNER "$owner"; COMMENT ON DATABASE "$name" IS '` + theirs + `'; ALTER DATABASE "$name" ALLOW_CONNECTIONS false`},
		{sql: `CREATE DATABASE "$name" OWNER "$owner"`, alike: true},
		{sql: `CREATE DATABASE "$name" OWNER "$owner"; COMMENT ON DATABASE "$name" IS '` + ours + `'`, alike: true},
		{sql: `CREATE ROLE "$name" LOGIN`},
		{sql: `CREATE ROLE "$name"; COMMENT ON ROLE "$name" IS '` + theirs + `'`},
	}
}

// TestNothingThatIsNotProvablyOursIsDropped has many databases and roles that look like tenants', and the tenants of
// another registry, whose rows this one does not see: passes report them all, sign-ups and their undoing leave them
// alone.
func TestNothingThatIsNotProvablyOursIsDropped(t *testing.T) {
	t.Parallel()
	hidden := newFixture(t)
	theirs := hidden.provisioner(t)
	f := newFixture(t)
	f.prefix = hidden.prefix // as after a registry was restored from an old dump
	p := f.provisioner(t)
	f.create(t, p, "somebody")
	for i := range pgtest.Size(1, 10) {
		hidden.create(t, theirs, fmt.Sprintf("hidden%d", i))
	}
	kinds, total := lookalikes(), pgtest.Size(10, 70)
	for i := range total {
		id := fmt.Sprintf("l%d", i)
		sql := strings.NewReplacer("$name", f.prefix+id, "$id", id, "$owner",
			f.prefix+"_owner").Replace(kinds[i%len(kinds)].sql)
		for statement := range strings.SplitSeq(sql, "; ") {
			must(t, execute(t.Context(), f.admin, statement))
		}
	}
	before := f.estate(t)
	for i := range total {
		if kinds[i%len(kinds)].alike {
			continue
		}
		id := fmt.Sprintf("l%d", i)
		if _, err := p.Create(t.Context(), request(t, id, "x"+id+"@example.org")); !errors.Is(err, provision.ErrNotOurs) {
			t.Errorf("a sign-up under the name of %s: %v", kinds[i%len(kinds)].sql, err)
		}
	}
	eventually(t, "undone", func() bool {
		_, err := p.Reconcile(t.Context())
		must(t, err)
		ids, err := f.unsettled(t.Context())
		must(t, err)
		return len(ids) == 0
	})
	pass, err := p.Reconcile(t.Context())
	must(t, err)
	if diff := cmp.Diff(before, f.estate(t)); diff != "" {
		t.Errorf("it has changed: %s", diff)
	}
	f.reported(t, pass)
	databases := len(pass.Unknown)
	pgtest.Figure(t, "P10", "%d databases and %d roles alone that look like tenants', %d of them active in a registry "+
		"that is not seen: %d reported, 0 touched",
		databases, len(pass.UnknownRoles), pgtest.Size(1, 10), databases+len(pass.UnknownRoles))
}

// estate is every database and role with the prefix, and what tells it from another of its name.
func (f *fixture) estate(t *testing.T) []string {
	t.Helper()
	return strings.Split(f.list(t, f.admin, `
		SELECT concat_ws(' ', oid, datname, datdba, datconnlimit, datallowconn, shobj_description(oid, 'pg_database')) || E'\n'
		FROM pg_database WHERE starts_with(datname, $1)
		UNION ALL SELECT concat_ws(' ', oid, rolname, rolcanlogin, shobj_description(oid, 'pg_authid')) || E'\n'
		FROM pg_roles WHERE starts_with(rolname, $1) ORDER BY 1`, f.prefix), "\n")
}

// reported checks that a pass reports every database that is not somebody's, and every role that has none.
func (f *fixture) reported(t *testing.T, pass *provision.ReconcileReport) {
	t.Helper()
	const others = ` AND NOT starts_with(name, $1 || '_') AND name <> $1 || 'somebody' ORDER BY name COLLATE "C"`
	slices.Sort(pass.Unknown)
	slices.Sort(pass.UnknownRoles)
	databases := strings.Fields(f.list(t, f.admin,
		"SELECT name FROM (SELECT datname::text FROM pg_database) d(name) WHERE starts_with(name, $1)"+others, f.prefix))
	if diff := cmp.Diff(databases, pass.Unknown); diff != "" {
		t.Errorf("databases: %s", diff)
	}
	roles := strings.Fields(f.list(t, f.admin, `SELECT name FROM (SELECT rolname::text FROM pg_roles) r(name)
		WHERE starts_with(name, $1) AND NOT EXISTS (SELECT FROM pg_database WHERE datname = name)`+others, f.prefix))
	if diff := cmp.Diff(roles, pass.UnknownRoles); diff != "" {
		t.Errorf("roles: %s", diff)
	}
}
