package provision_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/provision"
)

// counter counts the statements of connections whose tracer it is.
type counter struct{ n atomic.Int64 }

func (c *counter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	c.n.Add(1)
	return ctx
}

func (c *counter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// counting makes a provisioner whose statements, in the registry and on the servers, are counted.
func (f *fixture) counting(t *testing.T) (*provision.Provisioner, *counter) {
	t.Helper()
	c := &counter{}
	admin, regCfg := f.admin.Copy(), f.regCfg.Copy()
	admin.Tracer, regCfg.ConnConfig.Tracer = c, c
	regCfg.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return false } // which is a statement too
	reg := openRegistryOn(t, poolOf(t, regCfg))
	return f.provisioner(t, func(cfg *provision.Config) { cfg.Admin, cfg.Registry = admin, reg }), c
}

// TestPassOverManyTenantsIsCheapAndAccusesNobody has passes over tenants that are well, alone and beside sign-ups and
// deletions: how many statements one takes depends on the pages of the list of tenants alone.
func TestPassOverManyTenantsIsCheapAndAccusesNobody(t *testing.T) {
	var f *fixture
	if pgtest.Full() {
		f = newCluster(t, false).fixture(t) // which nobody has to sweep
	} else {
		t.Parallel()
		f = newFixture(t)
	}
	p, c := f.counting(t)
	few, many, passes := pgtest.Size(1, 10), pgtest.Size(5, 1000), pgtest.Size(4, 100)
	f.crowd(t, p, 0, few)
	forFew, _ := c.pass(t, p)
	f.crowd(t, p, few, many)
	forMany, alone := c.pass(t, p)
	if most := forFew + int64(many/1000); forMany > most {
		t.Errorf("%d statements for %d tenants, %d for %d", forFew, few, forMany, many)
	}
	if pgtest.Full() && alone > 5*time.Second {
		t.Errorf("a pass over %d tenants took %v", many, alone)
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var load sync.WaitGroup
	var signUps atomic.Int64
	others := f.provisioner(t)
	for w := range 2 {
		load.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				id := fmt.Sprintf("load%dx%d", w, i)
				result, err := others.Create(context.WithoutCancel(ctx), request(t, id, id+"@example.org"))
				if err == nil {
					err = others.Drop(context.WithoutCancel(ctx), result.Tenant.ID)
				}
				if err != nil {
					t.Error(err)
				}
				signUps.Add(1)
			}
		})
	}
	var took []time.Duration
	for len(took) < passes || signUps.Load() < 2 {
		_, d := c.pass(t, p)
		took = append(took, d)
	}
	cancel()
	pgtest.Wait(t, "the load ends", load.Wait)
	slices.Sort(took)
	pgtest.Figure(t, "P11", "a pass over %d tenants: %d statements (%d for %d tenants) in %v; %d passes beside %d "+
		"sign-ups and deletions: median %v, slowest %v, 0 false reports",
		many, forMany, forFew, few, alone, len(took), signUps.Load(), took[len(took)/2], took[len(took)-1])
}

// crowd makes the tenants from one number up to another, four at a time.
func (f *fixture) crowd(t *testing.T, p *provision.Provisioner, from, to int) {
	t.Helper()
	numbers := make(chan int)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range numbers {
				id := fmt.Sprintf("t%d", i)
				if _, err := p.Create(t.Context(), request(t, id, id+"@example.org")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := from; i < to; i++ {
		numbers <- i
	}
	close(numbers)
	pgtest.Wait(t, "every goroutine ends", wg.Wait)
}

// pass does one over tenants that are well, and returns how many statements it took and how long.
func (c *counter) pass(t *testing.T, p *provision.Provisioner) (statements int64, took time.Duration) {
	t.Helper()
	before, began := c.n.Load(), time.Now()
	pass, err := p.Reconcile(t.Context())
	must(t, err)
	if len(pass.Unknown)+len(pass.UnknownRoles)+len(pass.Missing)+len(pass.AccessFixed)+len(pass.Retried) > 0 {
		t.Errorf("a false report: %+v", pass)
	}
	return c.n.Load() - before, time.Since(began).Round(time.Millisecond)
}
