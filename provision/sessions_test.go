package provision_test

import (
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/registry"
)

func TestSessionsOfTenantsAreNamedAndNoOthers(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	p := f.provisioner(t, nil)
	count := func() []string {
		t.Helper()
		names, err := p.TenantSessions(t.Context(), "one")
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	made := f.create(t, p, "acme")
	before := count()
	cfg := f.admin.Copy()
	cfg.Database = made.Tenant.Endpoint.Database
	conn, err := pgx.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	with := count()
	if len(with) != len(before)+1 || !slices.Equal(with, count()) {
		t.Errorf("sessions %v, before the tenant's %v", with, before)
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := count(); len(after) != len(before) {
		t.Errorf("sessions %v when the tenant's had ended, want %v", after, before)
	}
	server := registry.Server{
		Name: "one", Host: f.admin.Host, Port: f.admin.Port, PooledHost: f.admin.Host, PooledPort: f.admin.Port,
	}
	if err := f.reg.PutServer(t.Context(), server); err != nil {
		t.Fatal(err)
	}
	if _, err := p.TenantSessions(t.Context(), "one"); err == nil {
		t.Error("sessions behind a pooler are counted as its connections")
	}
}

var _ registry.Counter = (*provision.Provisioner)(nil)
