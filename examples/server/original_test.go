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

// TestOriginalSystem walks through everything that the original system did. The parts share one program and its
// churches, and run in this order.
func TestOriginalSystem(t *testing.T) {
	stripe := newStripeDouble(t)
	o := &original{stripe: stripe}
	o.running = start(t, setup{
		registry: "pgtenancy_registry", env: stripe.env(), hooks: hooks{progress: failOnPurpose},
	})
	o.prefix = "tenant_"
	o.a, o.b = o.register(t, "Anna"), o.register(t, "Boris")
	for _, part := range []struct {
		name string
		walk func(*testing.T)
	}{
		{"a tenant gets an id of its own", o.tenantIDIsRandom},
		{"an e-mail signs up once", o.emailIsChecked},
		{"a sign-up creates a database", o.databaseIsCreated},
		{"the database has the schema", o.schemaIsApplied},
		{"the registry keeps the connection details", o.connectionDetailsAreKept},
		{"a sign-up makes a billing customer", o.billingCustomerIsMade},
		{"a trial begins", o.trialBegins},
		{"the church is recorded", o.churchIsRecorded},
		{"the tenant is recorded", o.tenantIsRecorded},
		{"password and e-mail are hashed", o.passwordAndEmailAreHashed},
		{"the admin is in the registry", o.adminIsInTheRegistry},
		{"the e-mail is in the blind index", o.emailIsIndexed},
		{"the admin is in the tenant's database", o.adminIsInTheTenantsDatabase},
		{"tokens are issued", o.tokensAreIssued},
		{"a failed sign-up is rolled back", o.failedSignUpIsRolledBack},
		{"a tenant and its database are deleted", o.databaseIsDeleted},
		{"the admin signs in", o.adminSignsIn},
		{"a tenant's pool is reused", o.poolIsReused},
		{"a request is routed to its tenant", o.requestIsRouted},
		{"tenants are isolated", o.tenantsAreIsolated},
		{"HTTP answers are right", o.httpAnswersAreRight},
		{"every service uses the tenant's database", o.servicesUseTheTenantsDatabase},
		{"the log holds no secrets", o.logHoldsNoSecrets}, // last, so that it sees everything that was logged
	} {
		t.Run(part.name, part.walk)
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
