// Package tenancytest gives a test tenants with databases of their own, and the faults that a service has to survive.
//
//	func TestNotes(t *testing.T) {
//		fleet := tenancytest.New(t, tenancytest.Config{Schema: tenancytest.Files(os.DirFS("schema"), "*.sql")})
//		acme := fleet.Tenant(t, "acme")
//
//		w := httptest.NewRecorder()
//		listNotes(w, httptest.NewRequestWithContext(acme.Context(t), "GET", "/notes", nil))
//		if w.Code != http.StatusOK {
//			t.Errorf("status %d", w.Code)
//		}
//	}
//
// A [Fleet] is a [tenancy.Resolver] over tenants that are copies of one template, which takes milliseconds each. A
// [System] adds a registry and a provisioner, for tests of sign-ups.
//
// # The server
//
// The first New of a test binary starts a PostgreSQL server, which ends with the process, however that ends. It takes
// an installed one; where none is installed, it fetches a build whose digest is pinned, once, into the user's cache.
// If the environment variable TENANCYTEST_DATABASE_URL has an administrator's connection string, the kit uses that
// server instead: a superuser, or a role with CREATEDB and CREATEROLE. The kit does not read DATABASE_URL, which may
// lead to data that matters.
//
// On a server that was given, all names begin with "ttest_". The end of a test drops its databases and roles. Those of
// a process that was killed go when another one starts. A template stays for later runs, until it was not used for a
// day, and so does the role ttest_tenant.
//
// # What tests share
//
// Tests may run in parallel, and the test binaries of several packages at once: every database has a name of its own,
// whatever the tenant's id is. Ids can be used again in the next test.
//
// # Where to begin
//
// fleet.go has New and tenant.go what it returns; fault.go and serverfault.go have the faults, system.go the second
// level, strict.go Config.Strict. Below are schema.go (what a template is made of), server.go (the server of the
// process), template.go (templates and copies), sweep.go (what killed processes left) and link.go (the connection that
// faults hold up).
package tenancytest
