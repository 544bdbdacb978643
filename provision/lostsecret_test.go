package provision_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// vault is where the passwords of some tenants are kept, until it is lost.
type vault struct {
	lost  atomic.Bool
	hangs bool // once it is lost; else it fails
}

func (v *vault) source(ctx context.Context, _ string) (tenancy.Secret, error) {
	if v.lost.Load() && v.hangs {
		<-ctx.Done()
		return tenancy.Secret{}, ctx.Err()
	}
	if v.lost.Load() {
		return tenancy.Secret{}, errors.New("no such secret")
	}
	return tenancy.NewSecret("in the vault"), nil
}

// TestTenantWhosePasswordIsLostIsStillInHand: to shut a tenant out, to unmake it and to give it another password takes
// no password. Nor does a vault that does not answer hold up the work on others.
func TestTenantWhosePasswordIsLostIsStillInHand(t *testing.T) {
	t.Parallel()
	for name, hangs := range map[string]bool{"fails": false, "hangs": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, v := newFixture(t), &vault{hangs: hangs}
			f.reg = openRegistryOn(t, f.pool, func(c *registry.Config) {
				c.Secrets = map[string]registry.SecretSource{"vault": v.source}
			})
			p := f.provisioner(t)
			ids := []tenancy.ID{"closed", "dropped", "left"}
			tenants := map[tenancy.ID]tenancy.Tenant{}
			for _, id := range append(ids, "other") {
				tenants[id] = f.create(t, p, string(id)).Tenant
			}
			for _, id := range ids {
				must(t, f.reg.SetPasswordRef(t.Context(), id, "vault:"+string(id)))
			}
			closed := tenants["closed"]
			conn, err := f.connect(t.Context(), closed, closed.Endpoint.Database)
			must(t, err)
			defer conn.Close(context.WithoutCancel(t.Context()))
			v.lost.Store(true)

			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			must(t, p.Suspend(ctx, "closed"))
			must(t, p.Suspend(ctx, "other"))
			if _, err := conn.Exec(ctx, "SELECT 1"); err == nil {
				t.Error("a session of the suspended tenant goes on")
			}
			if _, err := f.connect(ctx, closed, closed.Endpoint.Database); err == nil {
				t.Error("the suspended tenant's role can log in")
			}
			must(t, p.RotatePassword(ctx, "closed"))
			must(t, p.Resume(ctx, "closed"))
			must(t, write(ctx, f.resolver(t, f.reg), "closed"))

			must(t, p.Drop(ctx, "dropped"))
			_, err = catalog.Of(f.reg).BeginDelete(ctx, "left", "a process that died", time.Nanosecond)
			must(t, err)
			run(t, f.provisioner(t, func(c *provision.Config) { c.ClaimTTL = time.Minute }))
			eventually(t, "nothing left of what was dropped", func() bool {
				return f.residue(t) == "database:"+f.prefix+"closed database:"+f.prefix+"other role:"+f.prefix+"closed role:"+
					f.prefix+"other email:closed email:other tenant:closed:active tenant:other:suspended"
			})
		})
	}
}
