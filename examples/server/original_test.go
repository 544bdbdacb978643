package main

import (
	"net/http"
	"slices"
	"testing"
)

// original is what the walk over the original system's table works with: the program, and two churches in it.
type original struct {
	*running
	stripe *stripeDouble
	a, b   session
}

// TestOriginalSystem walks every row of the table of what the original system did, by number.
func TestOriginalSystem(t *testing.T) {
	stripe := newStripeDouble(t)
	o := &original{stripe: stripe}
	o.running = start(t, setup{
		registry: "pgtenancy_registry", env: stripe.env(), hooks: hooks{progress: failOnPurpose},
	})
	o.prefix = "tenant_"
	o.a, o.b = o.register(t, "Anna"), o.register(t, "Boris")
	for _, row := range []struct {
		name string
		walk func(*testing.T)
	}{
		{"row 01 tenant id", o.row01},
		{"row 02 e-mail check", o.row02},
		{"row 03 create the database", o.row03},
		{"row 04 apply the tenant schema", o.row04},
		{"row 05 connection details", o.row05},
		{"row 06 billing customer", o.row06},
		{"row 07 trial", o.row07},
		{"row 08 Church record", o.row08},
		{"row 09 Tenant record", o.row09},
		{"row 10 password and e-mail hashed", o.row10},
		{"row 11 Admin in the registry", o.row11},
		{"row 12 AdminEmailIndex", o.row12},
		{"row 13 Admin in the tenant database", o.row13},
		{"row 14 tokens", o.row14},
		{"row 15 roll-back", o.row15},
		{"row 16 deleteTenantDatabase", o.row16},
		{"row 17 login", o.row17},
		{"row 18 cached tenant client", o.row18},
		{"row 19 request routing", o.row19},
		{"row 20 isolation", o.row20},
		{"row 22 HTTP", o.row22},
		{"row 23 services on the tenant database", o.row23},
		{"row 21 log", o.row21}, // last, so that it sees everything that was logged
	} {
		t.Run(row.name, row.walk)
	}
}

// failOnPurpose fails a sign-up at the step that the request names.
func failOnPurpose(r *http.Request, step string) {
	if r.Header.Get("X-Fail-At") == step {
		panic("on purpose")
	}
}

// tenants returns the databases and roles that belong to churches.
func (r *running) tenants(t *testing.T) (databases, roles []string) {
	t.Helper()
	databases = column(t, r.registry, `SELECT datname::text FROM pg_database
		WHERE starts_with(datname::text, $1) AND NOT starts_with(datname::text, $1 || '_')`, r.prefix)
	roles = column(t, r.registry, `SELECT rolname::text FROM pg_roles
		WHERE starts_with(rolname::text, $1) AND NOT starts_with(rolname::text, $1 || '_')`, r.prefix)
	slices.Sort(databases) // PostgreSQL's order depends on the locale
	slices.Sort(roles)
	return databases, roles
}

// settled waits until no sign-up or deletion is under way, so that the present tenants stay.
func (r *running) settled(t *testing.T) {
	t.Helper()
	eventually(t, "every tenant is active or gone", func() bool {
		return one[int](t, r.registry, `SELECT count(*) FROM pgtenancy.tenants WHERE state <> 'active'`) == 0
	})
}
