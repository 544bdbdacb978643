package conformance_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/middleware"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

func TestMain(m *testing.M) {
	pgtest.Main(m, // what fasthttp leaves behind: a clock, and workers that end after ten seconds
		"github.com/valyala/fasthttp.updateServerDate.func1", "github.com/valyala/fasthttp.(*workerPool).Start.func2")
}

// directory is tenants with a database each.
type directory struct {
	mu      sync.Mutex // guards tenants
	tenants map[tenancy.ID]tenancy.Tenant
	base    *pgxpool.Config
}

func newDirectory(t *testing.T, n int) *directory {
	t.Helper()
	d := &directory{tenants: map[tenancy.ID]tenancy.Tenant{}, base: pgtest.Database(t)}
	var group errgroup.Group
	group.SetLimit(4)
	for i := range n {
		group.Go(func() error { return d.add(t, tenancy.ID(fmt.Sprintf("tenant-%d", i))) })
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	return d
}

// add makes a database for the tenant, with its mark.
func (d *directory) add(t *testing.T, id tenancy.ID) error {
	t.Helper()
	admin, err := pgx.ConnectConfig(t.Context(), pgtest.Admin(t))
	if err != nil {
		return err
	}
	defer admin.Close(context.WithoutCancel(t.Context()))
	database := d.base.ConnConfig.Database + "_" + string(id)
	name := pgx.Identifier{database}.Sanitize()
	if _, err := admin.Exec(t.Context(), "CREATE DATABASE "+name+" TEMPLATE template0"); err != nil {
		return err
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		admin, err := pgx.ConnectConfig(ctx, pgtest.Admin(t))
		if err != nil {
			t.Error(err)
			return
		}
		defer admin.Close(ctx)
		if _, err := admin.Exec(ctx, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	mark := tenancy.OwnerTag{Tenant: id, Epoch: 1}.String()
	if _, err := admin.Exec(t.Context(), "COMMENT ON DATABASE "+name+" IS '"+mark+"'"); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tenants[id] = tenancy.Tenant{
		ID: id, State: tenancy.Active, Epoch: 1, Endpoint: tenancy.Endpoint{Database: database},
	}
	return nil
}

func (d *directory) Lookup(_ context.Context, id tenancy.ID) (tenancy.Tenant, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if t, ok := d.tenants[id]; ok {
		return t, nil
	}
	return tenancy.Tenant{}, tenancy.ErrNotFound
}

// set gives a tenant another state, and returns its epoch.
func (d *directory) set(id tenancy.ID, state tenancy.State) int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.tenants[id]
	t.State, t.Epoch = state, t.Epoch+1
	d.tenants[id] = t
	return t.Epoch
}

func (d *directory) database(id tenancy.ID) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.tenants[id].Endpoint.Database
}

func (d *directory) resolver(t *testing.T, maxPools int) *tenancy.Resolver {
	t.Helper()
	r, err := tenancy.New(tenancy.Config{
		Directory: d, Base: d.base, Fence: true, MaxPools: maxPools, MaxConnsPerTenant: 1, MaxConns: 90, CapacityWait: -1,
		BudgetWait: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		if err := r.Close(ctx); err != nil {
			t.Errorf("close the resolver: %v", err)
		}
	})
	return r
}

// tokens are "token-of-<tenant>".
type tokens struct{}

func (tokens) Verify(_ context.Context, raw string) (*authn.Identity, error) {
	tenant, ok := strings.CutPrefix(raw, "token-of-")
	if !ok {
		return nil, authn.ErrTokenInvalid
	}
	return &authn.Identity{Subject: "s", Tenant: tenant}, nil
}

func newMiddleware(t *testing.T, cfg middleware.Config) *middleware.Middleware {
	t.Helper()
	cfg.Verifier = tokens{}
	m, err := middleware.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
