package provision_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

const notes = "CREATE TABLE notes (t text)"

func (f *fixture) hash(t *testing.T, id tenancy.ID) string {
	t.Helper()
	tenant, err := f.reg.Lookup(t.Context(), id)
	must(t, err)
	return tenant.SchemaHash
}

func TestUpgradeStampsWhatItHasVerified(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.create(t, f.provisioner(t), "acme")
	f.schema = &sqlSchema{build: members + ";" + notes, upgrade: notes}
	p := f.provisioner(t)

	report, err := p.Upgrade(t.Context(), "acme", provision.Policy{DryRun: true})
	must(t, err)
	if report.Applied || len(report.Changes) != 1 || f.hash(t, "acme") == f.schema.Hash() {
		t.Errorf("dry run: %+v", report)
	}
	var wg sync.WaitGroup
	for range 3 { // "CREATE TABLE notes" works once
		wg.Go(func() {
			if _, err := p.Upgrade(t.Context(), "acme", provision.Policy{}); err != nil {
				t.Error(err)
			}
		})
	}
	pgtest.Wait(t, "every goroutine ends", wg.Wait)
	if f.hash(t, "acme") != f.schema.Hash() {
		t.Error("not stamped")
	}
	report, err = p.Upgrade(t.Context(), "acme", provision.Policy{})
	if err != nil || report.Applied {
		t.Errorf("an upgrade of what is stamped: %+v, %v", report, err)
	}
	if got := f.residue(t); got != f.active("acme") {
		t.Errorf("left: %s", got)
	}
}

func TestUpgradeThatMissesTheSchemaIsRolledBack(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.create(t, f.provisioner(t), "acme")
	old := f.hash(t, "acme")
	f.schema = &sqlSchema{build: members + ";" + notes, upgrade: "CREATE TABLE notes (t int)"}
	p := f.provisioner(t)
	_, err := p.Upgrade(t.Context(), "acme", provision.Policy{})
	var mismatch *provision.SchemaMismatchError
	if !errors.As(err, &mismatch) || !strings.Contains(strings.Join(mismatch.Diff, "\n"), "notes") {
		t.Fatalf("%v", err)
	}
	if f.hash(t, "acme") != old {
		t.Error("stamped in spite of it")
	}
	if got := f.list(t, f.in(f.prefix+"acme"), "SELECT relname::text FROM pg_class WHERE relname = 'notes'"); got != "" {
		t.Error("the change was committed")
	}
	if got := f.residue(t); got != f.active("acme") {
		t.Errorf("left: %s", got)
	}
}

func TestForcedUpgradeFindsWhatTheStampHides(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	p := f.provisioner(t)
	f.create(t, p, "acme")
	f.schema.upgrade = "SELECT 1"
	_, err := p.Upgrade(t.Context(), "acme", provision.Policy{Force: true})
	must(t, err)
	must(t, execute(t.Context(), f.in(f.prefix+"acme"), "DROP FUNCTION shout"))
	_, err = p.Upgrade(t.Context(), "acme", provision.Policy{})
	must(t, err)
	var mismatch *provision.SchemaMismatchError
	if _, err := p.Upgrade(t.Context(), "acme", provision.Policy{Force: true}); !errors.As(err, &mismatch) {
		t.Errorf("%v", err)
	}
}

func TestUpgradeRefusesTenantsThatAreNotThere(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	if _, err := f.provisioner(t).Upgrade(t.Context(), "nobody", provision.Policy{}); !errors.Is(err,
		tenancy.ErrNotFound) {
		t.Error(err)
	}
}

// stringReader is a Schema that takes connection strings where it gets configurations, as a migration tool would.
type stringReader struct {
	*sqlSchema
	strings []string
}

func (s *stringReader) Build(ctx context.Context, cfg *pgx.ConnConfig) error {
	s.strings = append(s.strings, cfg.ConnString())
	return s.sqlSchema.Build(ctx, cfg)
}

func (s *stringReader) Upgrade(ctx context.Context, u provision.UpgradeInput) (*provision.Report, error) {
	s.strings = append(s.strings, u.Target.ConnString(), u.Model.ConnString())
	return s.sqlSchema.Upgrade(ctx, u)
}

// The string that Admin was parsed from leads to the maintenance database.
func TestSchemaGetsNoConnectionStringOfAnotherDatabase(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.create(t, f.provisioner(t), "acme")
	s := &stringReader{sqlSchema: &sqlSchema{build: members + ";" + notes, upgrade: notes}}
	_, err := f.provisioner(t, func(c *provision.Config) { c.Schema = s }).Upgrade(t.Context(), "acme", provision.Policy{})
	must(t, err)
	if len(s.strings) != 3 {
		t.Errorf("%d configurations", len(s.strings))
	}
	for _, text := range s.strings {
		conn, err := pgx.Connect(t.Context(), text)
		if err == nil {
			t.Errorf("leads to %q", conn.Config().Database)
			must(t, conn.Close(t.Context()))
		}
	}
}
