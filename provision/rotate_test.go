package provision_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

func TestPasswordIsRotatedUnderTraffic(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	admin := f.administrator(t)
	p := f.provisioner(t, func(c *provision.Config) { c.Admin = admin })
	old := f.create(t, p, "acme").Tenant
	r := f.resolver(t, f.reg)
	ctx, cancel := context.WithCancel(t.Context())
	follower := make(chan error, 1)
	go func() { follower <- f.reg.Follow(ctx, r) }()
	var good atomic.Int64
	stop := make(chan struct{})
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for {
				if err := write(t.Context(), r, "acme"); err != nil {
					t.Errorf("write: %v", err)
				}
				good.Add(1)
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	const rotations = 5
	for range rotations {
		before := good.Load()
		must(t, p.RotatePassword(t.Context(), "acme"))
		eventually(t, "at work", func() bool { return good.Load() > before+20 })
	}
	close(stop)
	pgtest.Wait(t, "every worker ends", workers.Wait)
	cancel()
	must(t, pgtest.Receive(t, "Follow ends", follower))
	t.Logf("%d rotations: %d writes", rotations, good.Load())
	if conn, err := f.connect(t.Context(), old, old.Endpoint.Database); err == nil {
		must(t, conn.Close(t.Context()))
		t.Error("the old password still works")
	}
	now, err := f.reg.Lookup(t.Context(), "acme")
	must(t, err)
	conn, err := f.connect(t.Context(), now, now.Endpoint.Database)
	must(t, err)
	must(t, conn.Close(t.Context()))
}

func TestPasswordStaysIfTheRegistryRefuses(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	p := f.provisioner(t)
	tenant := f.create(t, p, "acme").Tenant
	if err := p.RotatePassword(t.Context(), "ghost"); !errors.Is(err, tenancy.ErrNotFound) {
		t.Error(err)
	}
	_, err := catalog.Of(f.reg).BeginDelete(t.Context(), "acme", "somebody", 1)
	must(t, err)
	if err := p.RotatePassword(t.Context(), "acme"); !errors.Is(err, registry.ErrConflict) {
		t.Error(err)
	}
	conn, err := f.connect(t.Context(), tenant, tenant.Endpoint.Database)
	must(t, err)
	must(t, conn.Close(t.Context()))
}
