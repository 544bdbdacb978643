package provision_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"

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
		c.Steps = w.steps(func(context.Context, string) error { return nil })
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

func TestDropOfADatabaseThatIsNotOursStopsBeforeTheNameIsFree(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	p := f.provisioner(t)
	f.create(t, p, "acme")
	name := pgx.Identifier{f.prefix + "acme"}.Sanitize()
	must(t, execute(t.Context(), f.admin, "COMMENT ON DATABASE "+name+" IS 'restored by hand'"))
	if err := p.Drop(t.Context(), "acme"); !errors.Is(err, provision.ErrNotOurs) {
		t.Fatal(err)
	}
	must(t, execute(t.Context(), f.admin, "COMMENT ON DATABASE "+name+" IS NULL"))
	f.reconcile(t, p, "")
}
