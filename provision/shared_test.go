package provision_test

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// shared is a fixture with a role that tenants share. The resolvers have its password, and another role's name.
type shared struct {
	*fixture
	role string
}

func newShared(t *testing.T) *shared {
	t.Helper()
	s := &shared{role: "app" + strings.ToLower(rand.Text()[:8])}
	ctx, admin := context.WithoutCancel(t.Context()), pgtest.Admin(t)
	must(t, execute(ctx, admin, "CREATE ROLE "+quoted(s.role)+" LOGIN PASSWORD 'shared'"))
	t.Cleanup(func() { must(t, execute(ctx, admin, "DROP ROLE "+quoted(s.role))) }) // after the databases
	s.fixture = newFixture(t)
	s.base = s.admin.Copy()
	s.base.Password = "shared"
	return s
}

func (s *shared) share(c *provision.Config) { c.SharedRole = s.role }

// enter logs in to the database of id as the shared role.
func (s *shared) enter(t *testing.T, id tenancy.ID) (*pgx.Conn, error) {
	t.Helper()
	cfg := s.in(s.prefix + string(id))
	cfg.User, cfg.Password = s.role, "shared"
	conn, err := pgx.ConnectConfig(t.Context(), cfg)
	if err == nil {
		t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	}
	return conn, err
}

// is what the catalogue says of the shared role.
func (s *shared) is(t *testing.T) string {
	t.Helper()
	return s.list(t, s.admin, `SELECT concat_ws(' ', rolcanlogin, rolconnlimit, rolpassword, shobj_description(oid, 'pg_authid'))
		FROM pg_authid WHERE rolname = $1`, s.role)
}

// plainAdmin is an administrator with CREATEDB and nothing else, to whom an operator gave the roles.
func (s *shared) plainAdmin(t *testing.T) *pgx.ConnConfig {
	t.Helper()
	names := strings.NewReplacer("$admin", quoted(s.prefix+"_plain"), "$owner", quoted(s.prefix+"_owner"),
		"$group", quoted(s.prefix+"_tenant"), "$app", quoted(s.role))
	must(t, execute(t.Context(), s.admin, names.Replace(`
		CREATE ROLE $owner NOLOGIN;
		CREATE ROLE $group NOLOGIN;
		CREATE ROLE $admin LOGIN CREATEDB PASSWORD 'pw';
		GRANT $group TO $app;
		GRANT $owner, $app TO $admin`)))
	if s.before15(t) {
		must(t, execute(t.Context(), s.admin, names.Replace("ALTER ROLE $admin SUPERUSER")))
	}
	cfg := s.maintained(t)
	cfg.User, cfg.Password = s.prefix+"_plain", "pw"
	return cfg
}

func TestTenantsOfOneRoleAreSuspendedAndDroppedOneByOne(t *testing.T) {
	t.Parallel()
	f := newShared(t)
	admin := f.plainAdmin(t)
	p := f.provisioner(t, f.share, func(c *provision.Config) { c.Admin = admin })
	must(t, execute(t.Context(), f.admin, "REVOKE "+quoted(f.role)+" FROM "+quoted(admin.User)))
	if err := p.PrepareTemplate(t.Context(), "one"); state(err) != "42501" && !f.before15(t) { // a superuser can
		t.Errorf("an administrator who can suspend nobody is let in: %v", err)
	}
	must(t, execute(t.Context(), f.admin, "GRANT "+quoted(f.role)+" TO "+quoted(admin.User)))
	was := f.is(t)
	for _, id := range []string{"acme", "other"} {
		if e := f.create(t, p, id).Tenant.Endpoint; e.User != f.role || !e.Password.IsZero() {
			t.Errorf("%s has role %q and a password: %t", id, e.User, !e.Password.IsZero())
		}
	}
	neighbour, err := f.enter(t, "other")
	must(t, err)

	suspendUnderWrites(t, f.fixture, p)

	session, err := f.enter(t, "acme")
	must(t, err)
	must(t, p.Suspend(t.Context(), "acme"))
	must(t, p.Suspend(t.Context(), "acme")) // again
	if _, err := session.Exec(t.Context(), "SELECT"); err == nil {
		t.Error("a session goes on in the database of a suspended tenant")
	}
	if _, err := f.enter(t, "acme"); state(err) != "42501" {
		t.Errorf("at the door of a suspended tenant: %v", err)
	}
	must(t, p.Drop(t.Context(), "acme"))
	_, err = neighbour.Exec(t.Context(), "INSERT INTO members (name) VALUES ('bob')")
	must(t, err)
	must(t, write(t.Context(), f.resolver(t, f.reg), "other"))
	if is := f.is(t); is != was {
		t.Errorf("the role was %q, and is %q", was, is)
	}
	want := "database:" + f.prefix + "other email:other tenant:other:active"
	if left := f.residue(t); left != want {
		t.Errorf("left: %s, want %s", left, want)
	}
}

func TestSuspensionFailsWhileTheSharedRoleCannotBeKeptOut(t *testing.T) {
	t.Parallel()
	f := newShared(t)
	p := f.provisioner(t, f.share)
	f.create(t, p, "acme")
	for give, take := range map[string]string{
		"ALTER ROLE $role SUPERUSER":                    "ALTER ROLE $role NOSUPERUSER",
		"GRANT CONNECT ON DATABASE $database TO $group": "REVOKE CONNECT ON DATABASE $database FROM $group",
	} {
		names := strings.NewReplacer("$role", quoted(f.role), "$group", quoted(f.prefix+"_tenant"), "$database",
			quoted(f.prefix+"acme"))
		must(t, execute(t.Context(), f.admin, names.Replace(give)))
		if err := p.Suspend(t.Context(), "acme"); err == nil {
			t.Errorf("%s: suspended", give)
		}
		must(t, execute(t.Context(), f.admin, names.Replace(take)))
		must(t, p.Suspend(t.Context(), "acme"))
		must(t, p.Resume(t.Context(), "acme"))
	}
}

func TestReconcilerOpensAndClosesAccessOfTheSharedRole(t *testing.T) {
	t.Parallel()
	f := newShared(t)
	p := f.provisioner(t, f.share)
	f.create(t, p, "acme")
	reconcile := func(when string, want int, enters bool) {
		t.Helper()
		saw, err := p.Inspect(t.Context())
		must(t, err)
		pass, err := p.Reconcile(t.Context())
		must(t, err)
		if len(saw.AccessFixed) != want || len(pass.AccessFixed) != want {
			t.Errorf("%s: saw %v, settled %v, want %d", when, saw.AccessFixed, pass.AccessFixed, want)
		}
		if len(pass.Unknown)+len(pass.UnknownRoles)+len(pass.Missing) > 0 {
			t.Errorf("%s: reported %+v", when, pass)
		}
		if _, err := f.enter(t, "acme"); (err == nil) != enters {
			t.Errorf("%s: enters: %v", when, err)
		}
	}
	revoke := "REVOKE CONNECT ON DATABASE " + quoted(f.prefix+"acme") + " FROM " + quoted(f.role)
	reconcile("nothing has happened", 0, true)
	must(t, catalog.Of(f.reg).Suspend(t.Context(), "acme"))
	reconcile("died after the registry", 1, false)
	reconcile("suspended", 0, false)
	must(t, catalog.Of(f.reg).Resume(t.Context(), "acme"))
	reconcile("only the registry was told", 1, true)
	must(t, execute(t.Context(), f.admin, revoke))
	reconcile("died before the mark, and resumed meanwhile", 1, true)
	must(t, catalog.Of(f.reg).Suspend(t.Context(), "acme"))
	must(t, execute(t.Context(), f.admin, revoke))
	reconcile("died before the mark", 1, false)
	reconcile("suspended again", 0, false)
	must(t, p.Resume(t.Context(), "acme"))
	reconcile("resumed", 0, true)
}

// One process gives all new tenants one role. Another is of before; so is a tenant.
func TestTenantsWithAndWithoutARoleOfTheirOwnLiveTogether(t *testing.T) {
	t.Parallel()
	f := newShared(t)
	older, p := f.provisioner(t), f.provisioner(t, f.share)
	f.create(t, older, "own")
	f.create(t, p, "ours")
	was := f.is(t)
	r := f.resolver(t, f.reg)

	if err := p.RotatePassword(t.Context(), "ours"); !errors.Is(err, provision.ErrSharedRole) {
		t.Errorf("rotated: %v", err)
	}
	did, err := p.RotateAllPasswords(t.Context(), provision.RotateAllConfig{})
	must(t, err)
	if did.Rotated != 1 || did.Skipped != 1 || did.Failed != 0 {
		t.Errorf("rotated %d, skipped %d, failed %d", did.Rotated, did.Skipped, did.Failed)
	}
	must(t, p.Suspend(t.Context(), "own"))
	own, err := f.reg.Lookup(t.Context(), "own")
	must(t, err)
	if _, err := f.connect(t.Context(), own, own.Endpoint.Database); state(err) != "28000" {
		t.Errorf("at the door of a suspended tenant: %v", err)
	}
	must(t, p.Resume(t.Context(), "own"))
	must(t, write(t.Context(), r, "own"))
	must(t, write(t.Context(), r, "ours"))

	// What the older process may not touch, it leaves as it is.
	for _, refused := range []func(context.Context, tenancy.ID) error{older.RotatePassword, older.Suspend, older.Drop} {
		if err := refused(t.Context(), "ours"); !errors.Is(err, provision.ErrNotOurs) {
			t.Errorf("touched: %v", err)
		}
		pass, err := p.Reconcile(t.Context())
		must(t, err)
		if len(pass.AccessFixed)+len(pass.Undone)+len(pass.Repaired) > 0 {
			t.Errorf("a pass: %+v", pass)
		}
		must(t, write(t.Context(), r, "ours"))
	}
	must(t, p.Drop(t.Context(), "ours"))
	if is := f.is(t); is != was {
		t.Errorf("the role was %q, and is %q", was, is)
	}
	must(t, p.Drop(t.Context(), "own"))
	if left := f.residue(t); left != "" {
		t.Errorf("left: %s", left)
	}
}

func TestWarmDatabaseIsOfTheSharedRole(t *testing.T) {
	t.Parallel()
	f := newShared(t)
	p := f.provisioner(t, f.share, warm(1))
	ctx, cancel := context.WithCancel(t.Context())
	var keeper sync.WaitGroup
	keeper.Go(func() { p.KeepWarm(ctx) })
	eventually(t, "warm", func() bool { return len(f.stock(t)) == 1 })
	cancel()
	pgtest.Wait(t, "the keeper of the stock ends", keeper.Wait)
	made, err := p.Create(t.Context(), unnamed(t, 1))
	must(t, err)
	if !made.Warm || made.Tenant.Endpoint.User != f.role {
		t.Errorf("warm: %t, role %q", made.Warm, made.Tenant.Endpoint.User)
	}
	must(t, write(t.Context(), f.resolver(t, f.reg), made.Tenant.ID))
	must(t, p.Drop(t.Context(), made.Tenant.ID))
	if left := f.residue(t); left != "" {
		t.Errorf("left: %s", left)
	}
}

func TestSharedRoleThatWouldNotDoIsRefusedWhenAServerIsPrepared(t *testing.T) {
	t.Parallel()
	f := newShared(t)
	must(t, f.provisioner(t).PrepareTemplate(t.Context(), "one"))
	names := strings.NewReplacer("$role", quoted(f.role), "$owner", quoted(f.prefix+"_owner"), "$other",
		quoted(f.role+"x"))
	for _, c := range []struct{ do, undo, want string }{
		{"ALTER ROLE $role RENAME TO $other", "ALTER ROLE $other RENAME TO $role", "does not exist"},
		{"ALTER ROLE $role SUPERUSER", "ALTER ROLE $role NOSUPERUSER", "superuser"},
		{"GRANT $owner TO $role", "REVOKE $owner FROM $role", "member of"},
		{"ALTER ROLE $role NOLOGIN", "ALTER ROLE $role LOGIN", "must have LOGIN"},
		{"ALTER ROLE $role NOINHERIT", "ALTER ROLE $role INHERIT", "and INHERIT"},
	} {
		must(t, execute(t.Context(), f.admin, names.Replace(c.do)))
		err := f.provisioner(t, f.share).PrepareTemplate(t.Context(), "one")
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), f.role) {
			t.Errorf("%s: %v", c.do, err)
		}
		must(t, execute(t.Context(), f.admin, names.Replace(c.undo)))
	}
	must(t, f.provisioner(t, f.share).PrepareTemplate(t.Context(), "one"))
}

func TestSharedRoleMayHaveNoNameOfAnothers(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for name, good := range map[string]bool{
		"app": true, "App User@corp": true, "public": false, "none": false, "pg_monitor": false, f.prefix + "app": false,
		f.admin.User: false, strings.Repeat("a", 63): true, strings.Repeat("a", 64): false, "a\x00": false, "\xff": false,
	} {
		cfg := f.config()
		cfg.SharedRole = name
		if _, err := provision.New(cfg); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}
