package provision_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// resolver routes by dir, with the fence on. Nobody tells it of changes, and what it knows it believes for ever.
func (f *fixture) resolver(t *testing.T, dir tenancy.Directory) *tenancy.Resolver {
	t.Helper()
	base, err := pgxpool.ParseConfig("")
	must(t, err)
	base.ConnConfig = f.base.Copy()
	r, err := tenancy.New(tenancy.Config{Directory: dir, Base: base, Fence: true, TTL: -1})
	must(t, err)
	t.Cleanup(func() { must(t, r.Close(context.WithoutCancel(t.Context()))) })
	return r
}

func write(ctx context.Context, r *tenancy.Resolver, id tenancy.ID) error {
	return r.AcquireFunc(ctx, id, func(ctx context.Context, pool *pgxpool.Pool) error {
		_, err := pool.Exec(ctx, "INSERT INTO members (name) VALUES ('ann')")
		return err
	})
}

// administrator is how to log in as a role that is no superuser, with a maintenance database that it may enter. Before
// version 15 no other may make templates: it is one there.
func (f *fixture) administrator(t *testing.T) *pgx.ConnConfig {
	t.Helper()
	name, rights := f.prefix+"_admin", " LOGIN CREATEDB CREATEROLE PASSWORD 'pw'"
	if f.before15(t) {
		rights += " SUPERUSER"
	}
	must(t, execute(t.Context(), f.admin, "CREATE ROLE "+pgx.Identifier{name}.Sanitize()+rights))
	cfg := f.maintained(t)
	cfg.User, cfg.Password = name, "pw"
	return cfg
}

func (f *fixture) before15(t *testing.T) bool {
	t.Helper()
	return f.list(t, f.admin, "SELECT 'yes' WHERE current_setting('server_version_num')::int < 150000") != ""
}

// The promise: a process that missed the suspension writes nothing after it.
func TestNothingIsWrittenAfterSuspendReturned(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	admin := f.administrator(t)
	p := f.provisioner(t, func(c *provision.Config) { c.Admin = admin })
	f.create(t, p, "acme")
	for range 3 {
		suspendUnderWrites(t, f, p)
	}
}

func suspendUnderWrites(t *testing.T, f *fixture, p *provision.Provisioner) {
	const writers, attempts = 4, 25
	const id tenancy.ID = "acme"
	// A resolver that is never told, on a directory that never changes its mind.
	frozen, err := f.reg.Lookup(t.Context(), id)
	must(t, err)
	stale := f.resolver(t, tenancy.DirectoryFunc(func(context.Context, tenancy.ID) (tenancy.Tenant, error) {
		return frozen, nil
	}))
	var before, after atomic.Int64
	var suspended atomic.Bool
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for tries := 0; tries < attempts; {
				late := suspended.Load()
				if late {
					tries++
				}
				switch err := write(t.Context(), stale, id); {
				case err == nil && late:
					after.Add(1)
				case err == nil:
					before.Add(1)
				}
			}
		})
	}
	eventually(t, "written", func() bool { return before.Load() > 50 })
	must(t, p.Suspend(t.Context(), id))
	count := func() string {
		return f.list(t, f.in(f.prefix+"acme"), "SELECT count(*)::text FROM members")
	}
	rows := count()
	suspended.Store(true)
	pgtest.Wait(t, "every goroutine ends", wg.Wait)
	t.Logf("%d writes before the suspension, %d tried after it: %d landed", before.Load(), writers*attempts, after.Load())
	if now := count(); now != rows || after.Load() != 0 {
		t.Errorf("%s rows when Suspend returned, %s later; %d writes were answered", rows, now, after.Load())
	}
	must(t, p.Resume(t.Context(), id))
	if err := write(t.Context(), stale, id); !errors.Is(err, tenancy.ErrFenced) {
		t.Errorf("resumed, but the resolver that missed it gets in: %v", err)
	}
	must(t, write(t.Context(), f.resolver(t, f.reg), id))
}

func TestStaleResolverReloadsAfterItWasRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	p := f.provisioner(t)
	f.create(t, p, "acme")
	r := f.resolver(t, f.reg)
	must(t, write(t.Context(), r, "acme"))
	must(t, p.Suspend(t.Context(), "acme"))
	must(t, p.Suspend(t.Context(), "acme")) // again
	eventually(t, "looked up", func() bool { return errors.Is(write(t.Context(), r, "acme"), tenancy.ErrSuspended) })
	must(t, p.Resume(t.Context(), "acme"))
	must(t, p.Resume(t.Context(), "acme")) // again
	must(t, write(t.Context(), r, "acme"))
}

// Somebody edits the registry by hand, or restores a database under the wrong name.
func TestTenantIsRefusedByAnothersDatabase(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	p := f.provisioner(t)
	f.create(t, p, "a")
	f.create(t, p, "b")
	// The registry leads b to the database of a, and the access has a hole.
	must(t, execute(t.Context(), f.regCfg.ConnConfig, `
		UPDATE pgtenancy.tenants SET database = database || '_gone' WHERE id = 'a';
		UPDATE pgtenancy.tenants SET database = '`+f.prefix+`a' WHERE id = 'b'`))
	must(t, execute(t.Context(), f.admin, "GRANT CONNECT ON DATABASE "+
		pgx.Identifier{f.prefix + "a"}.Sanitize()+" TO "+pgx.Identifier{f.prefix + "b"}.Sanitize()))
	if err := write(t.Context(), f.resolver(t, f.reg), "b"); !errors.Is(err, tenancy.ErrFenced) {
		t.Errorf("b in the database of a: %v", err)
	}
	if rows := f.list(t, f.in(f.prefix+"a"), "SELECT count(*)::text FROM members"); rows != "0" {
		t.Errorf("b wrote %s rows to the database of a", rows)
	}
}

func TestReconcilerOpensAndClosesAccessAsTheRowsSay(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	p := f.provisioner(t)
	tenant := f.create(t, p, "acme").Tenant
	reconcile := func(want int) {
		t.Helper()
		pass, err := p.Reconcile(t.Context())
		must(t, err)
		if len(pass.AccessFixed) != want {
			t.Errorf("settled %v, want %d", pass.AccessFixed, want)
		}
	}
	enters := func() bool {
		conn, err := f.connect(t.Context(), tenant, tenant.Endpoint.Database)
		var pg *pgconn.PgError
		if err != nil && (!errors.As(err, &pg) || pg.Code != "28000") {
			t.Error(err)
		}
		if conn != nil {
			must(t, conn.Close(t.Context()))
		}
		return err == nil
	}
	reconcile(0)
	must(t, catalog.Of(f.reg).Suspend(t.Context(), "acme")) // the registry alone, as a process that died right after it
	reconcile(1)
	if enters() {
		t.Error("suspended, and its database is open")
	}
	reconcile(0)
	must(t, catalog.Of(f.reg).Resume(t.Context(), "acme"))
	reconcile(1)
	if !enters() {
		t.Error("active, and its database is closed")
	}
	// A process that died in the middle of closing: the database says so, the role does not yet.
	must(t, execute(t.Context(), f.admin, "COMMENT ON DATABASE "+pgx.Identifier{tenant.Endpoint.Database}.Sanitize()+
		" IS '"+tenancy.OwnerTag{Tenant: "acme", Epoch: 1, Fenced: true}.String()+"'"))
	reconcile(1)
	reconcile(0)
}

func TestSuspendRefusesWhatItMustNotClose(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	p := f.provisioner(t)
	if err := p.Suspend(t.Context(), "ghost"); !errors.Is(err, tenancy.ErrNotFound) {
		t.Error(err)
	}
	f.create(t, p, "acme")
	_, err := catalog.Of(f.reg).BeginDelete(t.Context(), "acme", "somebody", 1)
	must(t, err)
	if err := p.Suspend(t.Context(), "acme"); !errors.Is(err, registry.ErrConflict) {
		t.Error(err)
	}
	if err := p.Resume(t.Context(), "acme"); !errors.Is(err, registry.ErrConflict) {
		t.Error(err)
	}
}

func TestSuspendedTenantCanBeDroppedAndLeavesNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	p := f.provisioner(t)
	f.create(t, p, "acme")
	must(t, p.Suspend(t.Context(), "acme"))
	must(t, p.Drop(t.Context(), "acme"))
	if got := f.residue(t); got != "" {
		t.Errorf("left: %s", got)
	}
}
