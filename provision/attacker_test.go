package provision_test

import (
	"context"
	"crypto/rand"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// intruder is a session of a stolen log-in.
type intruder struct {
	*pgx.Conn
	t *testing.T
}

func (f *fixture) intrude(t *testing.T, as tenancy.Tenant) intruder {
	t.Helper()
	conn, err := f.connect(t.Context(), as, as.Endpoint.Database)
	must(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return intruder{conn, t}
}

// does runs sql, which may hold locks from then on.
func (i intruder) does(sql string) intruder {
	i.t.Helper()
	_, err := i.PgConn().Exec(i.t.Context(), sql).ReadAll()
	must(i.t, err)
	return i
}

// waits runs sql, and returns when it waits for a lock. ended is closed when it no longer does.
func (i intruder) waits(f *fixture, sql string) (ended <-chan struct{}) {
	i.t.Helper()
	pid, done := i.PgConn().PID(), make(chan struct{})
	ctx := i.t.Context()
	go func() {
		defer close(done)
		_, _ = i.PgConn().Exec(ctx, sql).ReadAll()
	}()
	i.t.Cleanup(func() { <-done })
	watch, err := pgx.ConnectConfig(ctx, f.admin)
	must(i.t, err)
	defer watch.Close(ctx)
	eventually(i.t, "waits for a lock", func() bool {
		var waits bool
		must(i.t, watch.QueryRow(ctx,
			"SELECT EXISTS (SELECT FROM pg_locks WHERE pid = $1 AND NOT granted)", pid).Scan(&waits))
		return waits
	})
	return done
}

// syncBuffer is a log that several goroutines write and read.
type syncBuffer struct {
	mu sync.Mutex // guards b
	b  strings.Builder
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// runs has Run under way until the test ends.
func runs(t *testing.T, p *provision.Provisioner) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		must(t, pgtest.Receive(t, "Run ends", done))
	})
}

// TestAttackerWithATenantsRoleLocksNobodyOut has a tenant's role lock other databases of its server, with and without
// the watchdog. It is on a server of its own: nobody else gets in meanwhile.
func TestAttackerWithATenantsRoleLocksNobodyOut(t *testing.T) {
	c := newCluster(t, false)
	f := c.fixture(t)
	admin := c.Admin()
	if !f.before15(t) { // a role that is no superuser, if that may make templates
		must(t, execute(t.Context(), c.Admin(), "CREATE ROLE provisioner LOGIN CREATEDB CREATEROLE PASSWORD 'pw'"))
		must(t, execute(t.Context(), c.Admin(), "CREATE DATABASE maintenance OWNER provisioner"))
		admin = f.in("maintenance")
		admin.User = "provisioner"
	}
	p := f.provisioner(t, func(cfg *provision.Config) { cfg.Admin = admin })
	attacker, victim := f.create(t, p, "a").Tenant, f.create(t, p, "b").Tenant
	holding := func(database string) string {
		return "BEGIN; ALTER ROLE CURRENT_USER IN DATABASE " + quoted(database) + " SET work_mem = '5MB'"
	}
	lock := func(database string) <-chan struct{} {
		t.Helper()
		f.intrude(t, attacker).does(holding(database))
		return f.intrude(t, attacker).waits(f, "DROP DATABASE "+quoted(database))
	}

	// Nobody watches: what works at the database itself goes past it.
	for _, what := range []struct {
		name string
		do   func(context.Context, tenancy.ID) error
	}{{"Suspend", p.Suspend}, {"Resume", p.Resume}, {"Drop", p.Drop}} {
		ended := lock(victim.Endpoint.Database)
		began := time.Now()
		if err := what.do(soon(t), "b"); err != nil {
			t.Errorf("%s: %v", what.name, err)
		}
		t.Logf("%s past the lock: %v", what.name, time.Since(began).Round(time.Millisecond))
		must(t, execute(t.Context(), f.admin,
			"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '"+attacker.Endpoint.User+"'"))
		<-ended
	}

	var log syncBuffer
	watching := f.provisioner(t, func(cfg *provision.Config) { cfg.Admin, cfg.Logger = admin, logTo(&log) })
	runs(t, watching)
	eventually(t, "watched", func() bool {
		return f.list(t, f.admin, `SELECT 'yes' FROM pg_stat_activity
			WHERE query LIKE '%queue_usage%' AND pid <> pg_backend_pid() LIMIT 1`) != ""
	})
	for _, database := range []string{f.regCfg.ConnConfig.Database, admin.Database, attacker.Endpoint.Database} {
		began := time.Now()
		first, second := f.intrude(t, attacker), f.intrude(t, attacker)
		_, _ = first.PgConn().Exec(t.Context(), holding(database)).ReadAll()
		_, err := second.PgConn().Exec(soon(t), "DROP DATABASE "+quoted(database)).ReadAll()
		if state(err) != "57P01" && state(err) != "42501" { // 42501: it was alone by then
			t.Errorf("DROP DATABASE: %v", err)
		}
		if _, err := first.Exec(soon(t), "SELECT"); err == nil && database != attacker.Endpoint.Database {
			t.Error("the session goes on") // in its own database it keeps nobody out, once the other is gone
		}
		t.Logf("the watchdog ended the lock of %s in %v", database, time.Since(began).Round(time.Millisecond))
		f.create(t, p, "c"+strings.ToLower(rand.Text()[:8]))
	}
	for _, want := range []string{`reason="locks a database"`, "role=" + attacker.Endpoint.User} {
		if got := log.String(); !strings.Contains(got, want) {
			t.Errorf("logged: %s", got)
		}
	}

	pass, err := p.Reconcile(soon(t))
	must(t, err)
	if len(pass.Terminated)+len(pass.Repaired)+len(pass.NotOurs) > 0 || len(pass.Retried) > 0 {
		t.Errorf("%+v", pass)
	}
}

// TestAttackerWithATenantsRoleCannotKeepItselfFromBeingShut has a role keep its own row of pg_authid locked, which a
// suspension and a rotation change.
func TestAttackerWithATenantsRoleCannotKeepItselfFromBeingShut(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	admin := f.administrator(t)
	p := f.provisioner(t, func(c *provision.Config) { c.Admin = admin })
	tenant := f.create(t, p, "acme").Tenant
	f.create(t, p, "good")
	const hold = "BEGIN; ALTER ROLE CURRENT_USER PASSWORD 'mine'; ALTER ROLE CURRENT_USER SET work_mem = '5MB'"

	f.intrude(t, tenant).does(hold)
	must(t, p.RotatePassword(soon(t), "acme"))
	now, err := f.reg.Lookup(t.Context(), "acme")
	must(t, err)
	f.intrude(t, now).does(hold)
	result, err := p.RotateAllPasswords(soon(t), provision.RotateAllConfig{Workers: 1})
	must(t, err)
	if result.Rotated != 2 {
		t.Errorf("rotated %+v", result)
	}

	now, err = f.reg.Lookup(t.Context(), "acme")
	must(t, err)
	thief := f.intrude(t, now).does(hold)
	must(t, p.Suspend(soon(t), "acme"))
	if _, err := thief.Exec(t.Context(), "COMMIT"); err == nil {
		t.Error("the session goes on")
	}
	now.Endpoint.Password = tenancy.NewSecret("mine")
	if _, err := f.connect(t.Context(), now, now.Endpoint.Database); state(err) != "28P01" {
		t.Errorf("with the thief's password: %v", err)
	}
	must(t, p.Resume(soon(t), "acme"))

	now, err = f.reg.Lookup(t.Context(), "acme")
	must(t, err)
	f.intrude(t, now).does(hold)
	must(t, catalog.Of(f.reg).Suspend(t.Context(), "acme")) // and the reconciler does the rest
	pass, err := p.Reconcile(soon(t))
	must(t, err)
	if len(pass.AccessFixed) != 1 {
		t.Errorf("settled %v", pass.AccessFixed)
	}
	must(t, p.Drop(soon(t), "acme"))
}

// TestAttackerWhoHoldsBackTheQueueOfNotificationsIsEnded has the maintenance database believe that the queue is more
// than half full, which takes 4 GiB, while a tenant's session listens in a transaction.
func TestAttackerWhoHoldsBackTheQueueOfNotificationsIsEnded(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	admin := f.maintained(t)
	p := f.provisioner(t, func(c *provision.Config) { c.Admin = admin })
	tenant := f.create(t, p, "acme").Tenant
	listener := f.intrude(t, tenant).does("LISTEN mine")
	listener.does("BEGIN")
	must(t, execute(t.Context(), admin, `
		SET allow_system_table_mods = on;
		ALTER FUNCTION pg_catalog.pg_notification_queue_usage() RENAME TO pg_notification_queue_usage_before;
		CREATE FUNCTION pg_catalog.pg_notification_queue_usage() RETURNS float8 LANGUAGE plpgsql
			AS $$ BEGIN RETURN 0.6; END $$`))
	saw, err := p.Inspect(t.Context())
	must(t, err)
	if _, err := listener.Exec(t.Context(), "SELECT"); err != nil {
		t.Errorf("ended by an inspection, or at once: %v, %v", err, saw.Terminated)
	}
	var pass *provision.ReconcileReport
	eventually(t, "ended", func() bool {
		pass, err = p.Reconcile(t.Context())
		must(t, err)
		return len(pass.Terminated) > 0
	})
	got := pass.Terminated[0]
	if got.Role != tenant.Endpoint.User || got.Reason != "holds back the queue of notifications" {
		t.Errorf("terminated %+v", got)
	}
	if _, err := listener.Exec(t.Context(), "SELECT"); err == nil {
		t.Error("the session goes on")
	}
}
