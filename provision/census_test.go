package provision_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// census is what is there, and what of it must not be. Take one when everything has settled.
type census struct {
	active map[string]bool
	flaws  []string
}

func (c *census) flaw(format string, args ...any) {
	c.flaws = append(c.flaws, fmt.Sprintf(format, args...))
}

// takeCensus compares the rows of the registry, the databases, the roles and the ledger: a tenant is active and has all
// of them, with one admin in each of the two places, or there is nothing of it.
func (f *fixture) takeCensus(t *testing.T) *census {
	t.Helper()
	c := &census{active: map[string]bool{}}
	databases := f.names(t, "SELECT datname FROM pg_database")
	roles := f.names(t, "SELECT rolname FROM pg_roles")
	ledger := strings.Fields(f.list(t, f.regCfg.ConnConfig, "SELECT key FROM ledger"))
	for _, row := range strings.Fields(f.list(t, f.regCfg.ConnConfig, `
		SELECT concat_ws(':', id, state, (SELECT count(*) FROM pgtenancy.admin_email_index e WHERE e.tenant_id = t.id),
			(SELECT count(*) FROM pgtenancy.admins a WHERE a.tenant_id = t.id))
		FROM pgtenancy.tenants t`)) {
		id, what, _ := strings.Cut(row, ":")
		c.active[id] = true
		if what != "active:1:1" {
			c.flaw("tenant %s", row)
			continue
		}
		for _, list := range []*[]string{&databases, &roles} {
			if i := slices.Index(*list, id); i >= 0 {
				*list = slices.Delete(*list, i, i+1)
				continue
			}
			c.flaw("tenant %s has no database or no role", id)
		}
		for _, key := range []string{id + "/billing", id + "/dns"} {
			if i := slices.Index(ledger, key); i >= 0 {
				ledger = slices.Delete(ledger, i, i+1)
				continue
			}
			c.flaw("tenant %s has no %s", id, key)
		}
		if got, err := f.visit(t.Context(), id); err != nil || got != "1 admins, limit -1" {
			c.flaw("tenant %s: %s, %v", id, got, err)
		}
	}
	for what, left := range map[string][]string{"database": databases, "role": roles, "ledger": ledger} {
		for _, name := range left {
			c.flaw("orphan %s %s", what, name)
		}
	}
	return c
}

// names returns what of a catalogue begins with the prefix, without it, but for what all tenants share.
func (f *fixture) names(t *testing.T, sql string) []string {
	t.Helper()
	got := f.list(t, f.admin, "SELECT substr(name, length($1) + 1) FROM ("+sql+
		") c(name) WHERE starts_with(name, $1) AND NOT starts_with(name, $1 || '_')", f.prefix)
	return strings.Fields(got)
}

// visit is what a tenant's role sees in the tenant's database.
func (f *fixture) visit(ctx context.Context, id string) (string, error) {
	tenant, err := f.reg.Lookup(ctx, tenancy.ID(id))
	if err != nil {
		return "", err
	}
	conn, err := f.connect(ctx, tenant, tenant.Endpoint.Database)
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	var saw string
	err = conn.QueryRow(ctx, `SELECT format('%s admins, limit %s', (SELECT count(*) FROM admins), datconnlimit)
		FROM pg_database WHERE datname = current_database()`).Scan(&saw)
	return saw, err
}

// check compares the census with what was answered, and returns how many tenants are lost.
func (c *census) check(t *testing.T, said answers) (lost int) {
	t.Helper()
	for _, flaw := range c.flaws {
		t.Error(flaw)
	}
	for _, id := range said["made"] {
		if !c.active[id] && !slices.Contains(said["dropping"], id) {
			t.Errorf("lost: tenant %s was answered and is not there", id)
			lost++
		}
	}
	for _, id := range said["gone"] {
		if c.active[id] {
			t.Errorf("tenant %s was answered to be gone and is there", id)
		}
	}
	return lost
}

// unsettled returns the tenants that are not at their end.
func (f *fixture) unsettled(ctx context.Context) ([]string, error) {
	rows, _ := f.pool.Query(ctx, `SELECT id FROM pgtenancy.tenants
		WHERE state IN ('provisioning', 'failing', 'deleting')`)
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// settle waits until every tenant is at its end, and until nothing is heard of processes that died.
func (f *fixture) settle(t *testing.T) {
	t.Helper()
	eventually(t, "settled", func() bool {
		var sessions int
		must(t, f.pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND application_name = $1`, childName).Scan(&sessions))
		ids, err := f.unsettled(t.Context())
		must(t, err)
		return sessions == 0 && len(ids) == 0
	})
}
