package provision_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/internal/failpoint"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// TestInspectReportsWhatReconcileDoesAndDoesNothing has something of everything that a pass looks for.
func TestInspectReportsWhatReconcileDoesAndDoesNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	points := failpoint.New()
	p := f.provisioner(t, func(c *provision.Config) { c.SetFailpoints(points) })
	for _, id := range []string{"lost", "open", "leaving", "well"} {
		f.create(t, p, id)
	}
	for point, ids := range map[string][]string{
		"": {"failed"}, "before fail": {"dead", "tired", "running"}, // what cannot be marked as failed seems to be abandoned
	} {
		points.On("before seed", failpoint.Error(errBroken))
		points.On(point, failpoint.Error(errBroken))
		for _, id := range ids {
			if _, err := p.Create(t.Context(), request(t, id, "x"+id+"@example.org")); !errors.Is(err, errBroken) {
				t.Fatal(err)
			}
		}
		points.On(point, nil)
	}
	points.On("before drop", failpoint.Once(failpoint.Error(errBroken)))
	if err := p.Drop(t.Context(), "leaving"); !errors.Is(err, errBroken) {
		t.Fatal(err)
	}
	points.On("before seed", nil)
	f.exec(t, `UPDATE pgtenancy.tenants SET claim_expires = now() + CASE id WHEN 'running' THEN interval '1 hour' ELSE '0' END,
		attempt = CASE id WHEN 'tired' THEN 3 ELSE attempt END WHERE state <> 'active'`)
	must(t, catalog.Of(f.reg).Suspend(t.Context(), "open")) // and nobody shuts it
	for _, sql := range []string{
		`DROP DATABASE "` + f.prefix + `lost"`, `CREATE DATABASE "` + f.prefix + `stranger"`, `CREATE ROLE "` + f.prefix + `strange"`,
		`CREATE DATABASE "` + f.prefix + `_model_ours" OWNER "` + f.prefix + `_owner"`,
		`CREATE DATABASE "` + f.prefix + `_model_theirs"`,
	} {
		must(t, execute(t.Context(), f.admin, sql))
	}

	before := [][]string{f.estate(t), f.rows(t)}
	saw, err := p.Inspect(t.Context())
	must(t, err)
	if diff := cmp.Diff(before, [][]string{f.estate(t), f.rows(t)}); diff != "" {
		t.Errorf("it did something: %s", diff)
	}
	want := &provision.ReconcileReport{
		Finished:    []tenancy.ID{"dead"},
		Undone:      []tenancy.ID{"failed", "leaving", "tired"},
		Unknown:     []string{f.prefix + "_model_theirs", f.prefix + "stranger"},
		Missing:     []tenancy.ID{"lost"},
		AccessFixed: []tenancy.ID{"open"},

		UnknownRoles: []string{f.prefix + "strange"},
	}
	sorted := cmp.Options{
		cmpopts.EquateEmpty(), cmpopts.SortSlices(func(a, b string) bool { return a < b }),
		cmpopts.SortSlices(func(a, b tenancy.ID) bool { return a < b }),
	}
	if diff := cmp.Diff(want, saw, sorted); diff != "" {
		t.Errorf("inspected: %s", diff)
	}
	did, err := p.Reconcile(t.Context())
	must(t, err)
	if diff := cmp.Diff(saw, did, sorted); diff != "" {
		t.Errorf("what was inspected, and what was done: %s", diff)
	}
	if strings.Contains(strings.Join(f.estate(t), " "), "_model_ours") {
		t.Error("the scratch model is still there")
	}
}

// rows are those of the registry that a pass may change.
func (f *fixture) rows(t *testing.T) (all []string) {
	t.Helper()
	for _, table := range []string{"tenants", "admins", "steps", "warm_databases", "retired_ids", "duties"} {
		all = append(all, f.list(t, f.regCfg.ConnConfig, "SELECT t::text FROM pgtenancy."+table+" t ORDER BY 1"))
	}
	return all
}
