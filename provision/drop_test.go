package provision_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/internal/failpoint"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

func TestDropEndsSessionsAndLeavesNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	w := newWorld()
	p := f.survivor(t, w)
	tenant := f.create(t, p, "acme").Tenant
	conn, err := f.connect(t.Context(), tenant, tenant.Endpoint.Database)
	must(t, err)
	defer conn.Close(t.Context())
	must(t, p.Drop(t.Context(), "acme"))
	if got := f.residue(t); got != "" {
		t.Errorf("left: %s", got)
	}
	if w.undone["acme/billing"] != 1 || w.undone["acme/dns"] != 1 {
		t.Errorf("undone: %v", w.undone)
	}
	if _, err := conn.Exec(t.Context(), "SELECT 1"); err == nil {
		t.Error("a session outlived its database")
	}
	if err := p.Drop(t.Context(), "acme"); !errors.Is(err, tenancy.ErrNotFound) {
		t.Errorf("second drop: %v", err)
	}
	if _, err := p.Create(t.Context(), request(t, "acme", "new@example.org")); !errors.Is(err, registry.ErrIDTaken) {
		t.Errorf("the id must not be used again: %v", err)
	}
}

func TestDropThatIsCancelledIsFinishedByTheReconciler(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx, cancel := context.WithCancel(t.Context())
	w := newWorld()
	p := f.provisioner(t, func(c *provision.Config) {
		c.SideEffects = w.steps(func(context.Context, string) error { return nil })
		c.Observer.StepStarted = func(_ tenancy.ID, step string) {
			if step == "drop" {
				cancel()
			}
		}
	})
	f.create(t, p, "acme")
	if err := p.Drop(ctx, "acme"); !errors.Is(err, context.Canceled) {
		t.Fatalf("drop: %v", err)
	}
	if _, err := p.Create(t.Context(), request(t, "other", "xacme@example.org")); !errors.Is(err, registry.ErrEmailTaken) {
		t.Errorf("the e-mail must stay taken while the database is there: %v", err)
	}
	f.reconcile(t, p, "")
}

// TestDatabaseOfAnotherIsNeverTouched has strangers' databases and roles under the names of tenants.
func TestDatabaseOfAnotherIsNeverTouched(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	p := f.provisioner(t)
	must(t, p.PrepareTemplate(t.Context(), "one"))
	quoted := func(id string) string { return pgx.Identifier{f.prefix + id}.Sanitize() }
	owned := " OWNER " + pgx.Identifier{f.prefix + "_owner"}.Sanitize()
	must(t, execute(t.Context(), f.admin, "CREATE DATABASE "+quoted("a")))
	must(t, execute(t.Context(), f.admin, "CREATE DATABASE "+quoted("b")+owned))
	must(t, execute(t.Context(), f.admin,
		"COMMENT ON DATABASE "+quoted("b")+` IS '{"pgtenancy":1,"tenant":"x","epoch":1}'; CREATE ROLE `+quoted("c")))
	for _, id := range []string{"a", "b", "c"} {
		if _, err := p.Create(t.Context(), request(t, id, id+"@example.org")); !errors.Is(err, provision.ErrNotOurs) {
			t.Errorf("%s: %v", id, err)
		}
	}
	f.reconcile(t, p, "database:"+f.prefix+"a database:"+f.prefix+"b role:"+f.prefix+"c")
	pass, err := p.Reconcile(t.Context())
	must(t, err)
	if len(pass.Unknown) != 2 {
		t.Errorf("unknown: %v", pass.Unknown)
	}
}

// restoredByHand has the comment of the tenant's database be somebody's; undo takes it off.
func (f *fixture) restoredByHand(t *testing.T, id string) (undo func()) {
	t.Helper()
	on := "COMMENT ON DATABASE " + quoted(f.prefix+id) + " IS "
	mark := f.list(t, f.admin,
		"SELECT quote_literal(shobj_description(oid, 'pg_database')) FROM pg_database WHERE datname = $1", f.prefix+id)
	must(t, execute(t.Context(), f.admin, on+"'restored by hand'"))
	return func() { must(t, execute(t.Context(), f.admin, on+mark)) }
}

// TestWhatIsNotOursIsLookedAtBeforeAnythingIsChanged guards live customers, whom a Suspend or a Drop that found a
// foreign database left suspended, or deleting for good.
func TestWhatIsNotOursIsLookedAtBeforeAnythingIsChanged(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	p := f.provisioner(t)
	tenant := f.create(t, p, "acme").Tenant
	undo := f.restoredByHand(t, "acme")
	for name, do := range map[string]func(context.Context, tenancy.ID) error{
		"Suspend": p.Suspend, "Resume": p.Resume, "Drop": p.Drop, "RotatePassword": p.RotatePassword,
		"Upgrade": func(ctx context.Context, id tenancy.ID) error {
			_, err := p.Upgrade(ctx, id, provision.Policy{Force: true})
			return err
		},
	} {
		if err := do(t.Context(), "acme"); !errors.Is(err, provision.ErrNotOurs) {
			t.Errorf("%s: %v", name, err)
		}
		now, err := f.reg.Lookup(t.Context(), "acme")
		must(t, err)
		if now.State != tenancy.Active || now.Epoch != tenant.Epoch {
			t.Errorf("%s left the tenant %s, of epoch %d", name, now.State, now.Epoch)
		}
	}
	pass, err := p.Reconcile(t.Context())
	must(t, err)
	if len(pass.NotOurs) != 1 || len(pass.Repaired) != 0 {
		t.Errorf("not ours: %v, repaired %v", pass.NotOurs, pass.Repaired)
	}
	undo()
	must(t, p.Suspend(t.Context(), "acme"))
	f.restoredByHand(t, "acme")
	if err := p.Resume(t.Context(), "acme"); !errors.Is(err, provision.ErrNotOurs) {
		t.Errorf("Resume: %v", err)
	}
	must(t, catalog.Of(f.reg).Resume(t.Context(), "acme")) // the operator's word alone
}

func TestDropOfADatabaseThatIsNotOursStopsBeforeTheNameIsFree(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	points := failpoint.New()
	p := f.provisioner(t, func(c *provision.Config) { c.SetFailpoints(points) })
	f.create(t, p, "acme")
	var undo func()
	points.On("after delete", func(context.Context) error { // after Drop has looked
		undo = f.restoredByHand(t, "acme")
		return nil
	})
	if err := p.Drop(t.Context(), "acme"); !errors.Is(err, provision.ErrNotOurs) {
		t.Fatal(err)
	}
	undo()
	f.reconcile(t, p, "")
}

// TestDropLeavesADatabaseOpenThatIsInUse guards operators, whom a deletion locked out of the database in which alone
// they could end what kept it from being dropped.
func TestDropLeavesADatabaseOpenThatIsInUse(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	points := failpoint.New()
	p := f.provisioner(t, func(c *provision.Config) { c.SetFailpoints(points) })
	tenant := f.create(t, p, "acme").Tenant
	database := f.in(tenant.Endpoint.Database)
	subscribe := func(context.Context) error {
		return execute(t.Context(), database, `CREATE SUBSCRIPTION "`+f.prefix+`sub" CONNECTION 'dbname=nowhere' PUBLICATION p
			WITH (connect = false, slot_name = NONE)`)
	}
	unsubscribe := func() { must(t, execute(t.Context(), database, `DROP SUBSCRIPTION "`+f.prefix+`sub"`)) }
	inUse := func(err error) {
		t.Helper()
		busy := (*provision.InUseError)(nil)
		if !errors.As(err, &busy) || len(busy.By) != 1 || !strings.Contains(busy.By[0], "subscription "+f.prefix+"sub") {
			t.Errorf("got %v", err)
		}
	}
	must(t, subscribe(t.Context()))
	inUse(p.Drop(t.Context(), "acme"))
	now, err := f.reg.Lookup(t.Context(), "acme")
	must(t, err)
	if now.State != tenancy.Active {
		t.Fatalf("refused, and the tenant is %s", now.State)
	}
	unsubscribe()

	points.On("after delete", subscribe) // after Drop has looked
	inUse(p.Drop(t.Context(), "acme"))
	if _, err := f.connect(t.Context(), tenant, tenant.Endpoint.Database); state(err) != "42501" {
		t.Errorf("the tenant's role: %v", err)
	}
	unsubscribe()
	points.On("before drop database", subscribe) // after the second look
	eventually(t, "in use again", func() bool {
		pass, err := p.Reconcile(t.Context())
		must(t, err)
		return state(pass.Retried["acme"]) == "55006"
	})
	points.On("before drop database", nil)
	unsubscribe()
	f.reconcile(t, p, "")
}
