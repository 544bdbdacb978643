package provision_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// TestLinesOfPgHbaKeepTenantsApartAndLetTheProvisionerIn uses the lines of docs/security.md as they stand there,
// without TLS. It guards an administrator that is no superuser: a suspension makes it a member of a tenant's role, and
// with the lines of the group before its own it was refused from then on.
func TestLinesOfPgHbaKeepTenantsApartAndLetTheProvisionerIn(t *testing.T) {
	c := newCluster(t, true)
	f := c.fixture(t)
	must(t, execute(t.Context(), c.Admin(), "CREATE ROLE provisioner LOGIN CREATEDB CREATEROLE PASSWORD 'x'"))
	page, err := os.ReadFile("../docs/security.md")
	must(t, err)
	_, section, _ := strings.Cut(string(page), "\n## Deployment\n")
	_, block, _ := strings.Cut(section, "```\n")
	lines, _, _ := strings.Cut(block, "```\n")
	lines = strings.NewReplacer("hostssl", "host", "10.0.0.0/8", "127.0.0.1/32", "tenant__tenant",
		f.prefix+"_tenant").Replace(lines)
	if !strings.Contains(lines, "provisioner") || !strings.Contains(lines, "+"+f.prefix) {
		t.Fatalf("lines of the page:\n%s", lines)
	}
	hba := filepath.Join(c.Dir(), "data", "pg_hba.conf")
	rest, err := os.ReadFile(hba)
	must(t, err)
	must(t, os.WriteFile(hba, append([]byte(lines), rest...), 0o600))
	must(t, execute(t.Context(), c.Admin(), "SELECT pg_reload_conf()"))

	super := f.admin
	f.admin = f.admin.Copy()
	f.admin.User, f.admin.Password = "provisioner", "x"
	p := f.provisioner(t)
	acme, globex := f.create(t, p, "acme").Tenant, f.create(t, p, "globex").Tenant
	must(t, p.Suspend(t.Context(), "acme"))
	must(t, p.Resume(t.Context(), "acme"))
	must(t, execute(t.Context(), f.admin, "SELECT 1"))
	must(t, p.Suspend(t.Context(), "globex"))
	must(t, p.Resume(t.Context(), "globex"))

	must(t, execute(t.Context(), super, `GRANT CONNECT ON DATABASE postgres TO PUBLIC; GRANT CONNECT ON DATABASE `+
		pgx.Identifier{globex.Endpoint.Database}.Sanitize()+` TO PUBLIC`))
	for _, c := range []struct {
		as       tenancy.Tenant
		database string
		let      bool
	}{
		{acme, acme.Endpoint.Database, true},
		{globex, globex.Endpoint.Database, true},
		{acme, globex.Endpoint.Database, false}, // the first defence is down: this is the second
		{acme, "postgres", false},
	} {
		conn, err := f.connect(t.Context(), c.as, c.database)
		if err == nil {
			must(t, conn.Close(t.Context()))
		}
		if (err == nil) != c.let {
			t.Errorf("%s at %s: %v", c.as.ID, c.database, err)
		}
	}
}
