package main

import (
	"context"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// rival is a way to serve many tenants over few connections.
type rival struct {
	name  string
	rival bool // not ours
	beat  bool // ours should have more throughput
	open  func(ctx context.Context, f *fleet) (target, error)
}

// target answers the requests of all workers.
type target interface {
	query(ctx context.Context, tenant int) error
	dials() int64 // connections to PostgreSQL that were begun
	close()
}

// rivals returns the available rivals, each for so many connections, ours first, and why the others are missing.
func rivals(conns int) (all []rival, missing []string) {
	all = []rival{
		// A pool for each tenant: to make room, a connection is closed.
		{name: fmt.Sprint("Resolver, MaxConns ", conns), open: func(_ context.Context, f *fleet) (target, error) {
			return newResolved(f, tenancy.Config{MaxPools: len(f.ids), MaxConnsPerTenant: perTenant, MaxConns: conns})
		}},
		// Pools of one connection each: to make room, a pool is closed.
		{name: fmt.Sprint("Resolver, MaxPools ", conns), open: func(_ context.Context, f *fleet) (target, error) {
			return newResolved(f, tenancy.Config{MaxPools: conns, MaxConnsPerTenant: 1, MaxConns: -1})
		}},
		{name: "a pool each, no cap", rival: true, open: uncapped},
		{name: "connect each time", rival: true, beat: true, open: connecting},
	}
	path, err := findPgBouncer()
	if err != nil {
		return all, []string{"PgBouncer, which is not installed"}
	}
	return append(all, rival{
		name: "PgBouncer", rival: true, beat: true, open: func(ctx context.Context, f *fleet) (target, error) {
			return startPgBouncer(ctx, path, f, conns)
		},
	}), nil
}

func newResolved(f *fleet, cfg tenancy.Config) (target, error) {
	base, err := f.base()
	if err != nil {
		return nil, err
	}
	cfg.Directory, cfg.Base, cfg.TTL, cfg.IdleTimeout = f, base, -1, -1
	r, err := tenancy.New(cfg)
	if err != nil {
		return nil, err
	}
	return &resolved{fleet: f, resolver: r}, nil
}

type resolved struct {
	fleet    *fleet
	resolver *tenancy.Resolver
}

func (r *resolved) query(ctx context.Context, tenant int) error {
	lease, err := r.resolver.Acquire(ctx, r.fleet.ids[tenant])
	if err != nil {
		return err
	}
	defer lease.Release()
	_, err = selectName(ctx, lease.Pool(), tenant)
	return err
}

func (r *resolved) dials() int64 { return r.fleet.dials.Load() }

func (r *resolved) close() { _ = closeResolver(context.Background(), r.resolver) }

// uncapped is a map of pools, as it is written in an afternoon.
func uncapped(_ context.Context, f *fleet) (target, error) {
	base, err := f.base()
	if err != nil {
		return nil, err
	}
	return &poolMap{fleet: f, base: base, count: f.dials.Load}, nil
}

type poolMap struct {
	fleet *fleet
	base  *pgxpool.Config
	count func() int64

	mu    sync.Mutex // guards pools; nothing is dialled while it is held
	pools map[int]*pgxpool.Pool
}

func (m *poolMap) pool(tenant int) (*pgxpool.Pool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if pool, ok := m.pools[tenant]; ok {
		return pool, nil
	}
	config := m.base.Copy()
	config.ConnConfig.Database = m.fleet.database(tenant)
	config.MaxConns, config.MinConns, config.MinIdleConns = perTenant, 0, 0
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		return nil, err
	}
	if m.pools == nil {
		m.pools = make(map[int]*pgxpool.Pool)
	}
	m.pools[tenant] = pool
	return pool, nil
}

func (m *poolMap) query(ctx context.Context, tenant int) error {
	pool, err := m.pool(tenant)
	if err != nil {
		return err
	}
	_, err = selectName(ctx, pool, tenant)
	return err
}

func (m *poolMap) dials() int64 { return m.count() }

func (m *poolMap) close() {
	for _, pool := range m.pools {
		pool.Close()
	}
}

// connecting has no pool at all.
func connecting(_ context.Context, f *fleet) (target, error) {
	base, err := f.base()
	return &connector{fleet: f, base: base}, err
}

type connector struct {
	fleet *fleet
	base  *pgxpool.Config
}

func (c *connector) query(ctx context.Context, tenant int) error {
	config := c.base.ConnConfig.Copy()
	config.Database = c.fleet.database(tenant)
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = selectName(ctx, conn, tenant)
	return err
}

func (c *connector) dials() int64 { return c.fleet.dials.Load() }
func (c *connector) close()       {}
