package provision_test

import (
	"testing"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/registry"
)

// A server with a pooler: routers go through it, and whatever needs a session goes past it.
func TestTenantsOfAPooledServerAreMadeDirectlyAndRoutedThroughThePooler(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	pooler := pgtest.Pooler(t)
	must(t, f.reg.PutServer(t.Context(), registry.Server{
		Name: "one", Host: f.admin.Host, Port: f.admin.Port, PooledHost: pooler.Host, PooledPort: pooler.Port,
	}))
	p := f.provisioner(t)
	tenant := f.create(t, p, "acme").Tenant
	if e := tenant.Endpoint; !e.Pooled || e.Port != pooler.Port {
		t.Fatalf("endpoint %+v", e)
	}
	r := f.resolver(t, f.reg)
	for range 20 {
		must(t, write(t.Context(), r, "acme"))
	}
	must(t, p.Suspend(t.Context(), "acme"))
	for range 20 { // the resolver was not told; its connections to the pooler are still there
		if err := write(t.Context(), r, "acme"); err == nil {
			t.Error("written after the suspension")
		}
	}
	must(t, p.Resume(t.Context(), "acme"))
	eventually(t, "in use again", func() bool { return write(t.Context(), r, "acme") == nil })
	must(t, p.Drop(t.Context(), "acme"))
}
