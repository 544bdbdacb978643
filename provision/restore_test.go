package provision_test

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/provision"
)

// TestTenantIsRestoredByTheCommandsOfThePage restores one from a dump as docs/operations.md says.
func TestTenantIsRestoredByTheCommandsOfThePage(t *testing.T) {
	c := newCluster(t, false) // has pg_dump beside it
	f := c.fixture(t)
	p := f.provisioner(t)
	tenant, neighbour := f.create(t, p, "acme").Tenant, f.create(t, p, "other").Tenant
	was := f.accesses(t)
	must(t, execute(t.Context(), f.in(tenant.Endpoint.Database), "INSERT INTO members (name) VALUES ('ann')"))
	dump := t.TempDir() + "/acme.dump"
	for _, name := range []string{"pg_dump", "pg_restore", "psql"} { // which a prebuilt PostgreSQL does not have
		if _, err := exec.LookPath(pgtest.Program(t, name)); err != nil {
			pgtest.Missing(t, "this test needs "+name+": apt-get install postgresql-client")
		}
	}
	sh := func(script string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", script)
		bin := f.list(t, f.admin, "SELECT setting FROM pg_config WHERE name = 'BINDIR'")
		cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "PGHOST="+f.admin.Host,
			"PGPORT="+strconv.Itoa(int(f.admin.Port)), "PGUSER="+f.admin.User, "PGPASSWORD="+f.admin.Password,
			"PREFIX="+f.prefix, "TENANT=acme", "DUMP="+dump)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	sh(`pg_dump --format=custom --file="$DUMP" "${PREFIX}acme"`)
	must(t, execute(t.Context(), f.in(tenant.Endpoint.Database), "DELETE FROM members; DROP TABLE admins"))

	must(t, p.Suspend(t.Context(), "acme"))
	page, err := os.ReadFile("../docs/operations.md")
	must(t, err)
	_, section, _ := strings.Cut(string(page), "\n## Restore one tenant\n")
	_, script, _ := strings.Cut(section, "```sh\n")
	script, _, ok := strings.Cut(script, "```")
	if !ok {
		t.Fatal("the page has no commands")
	}
	sh(script)
	_, err = p.Upgrade(t.Context(), "acme", provision.Policy{Force: true})
	if err != nil && !strings.Contains(err.Error(), "syntax") { // the fixture's schema has no statement to run
		t.Error(err)
	}
	must(t, p.Resume(t.Context(), "acme"))
	must(t, execute(t.Context(), f.admin, "DROP DATABASE "+quoted(f.prefix+"acme_before")))

	must(t, write(t.Context(), f.resolver(t, f.reg), "acme"))
	if got := f.list(t, f.in(tenant.Endpoint.Database), "SELECT name FROM members"); got != "ann ann" {
		t.Errorf("members: %q", got)
	}
	if _, err := f.connect(t.Context(), neighbour, tenant.Endpoint.Database); state(err) != "42501" {
		t.Errorf("another tenant's role: %v", err)
	}
	if is := f.accesses(t); is != was {
		t.Errorf("access is\n%s, were\n%s", is, was)
	}
	pass, err := p.Reconcile(t.Context())
	must(t, err)
	if len(pass.Repaired)+len(pass.AccessFixed)+len(pass.NotOurs)+len(pass.Unknown) > 0 {
		t.Errorf("%+v", pass)
	}
}
