package main

import (
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// service is a resolver with the pools of its tenants open, and the same pools in a map.
type service struct {
	tenants  int
	ids      []tenancy.ID
	resolver *tenancy.Resolver
	pools    map[string]*pgxpool.Pool
	one      *pgxpool.Pool // of the first tenant, and not the resolver's
}

func newService(ctx context.Context, f *fleet, tenants int, conns int32) (*service, error) {
	base, err := f.base()
	if err != nil {
		return nil, err
	}
	v := &service{tenants: tenants, ids: f.ids[:tenants], pools: make(map[string]*pgxpool.Pool, tenants)}
	v.resolver, err = tenancy.New(tenancy.Config{
		Directory: f, Base: base, MaxPools: tenants, MaxConnsPerTenant: conns, MaxConns: -1, TTL: -1, IdleTimeout: -1,
	})
	if err != nil {
		return nil, err
	}
	base.MaxConns = clients
	if v.one, err = pgxpool.NewWithConfig(ctx, base); err != nil {
		return nil, errors.Join(err, closeResolver(ctx, v.resolver))
	}
	if err := v.open(ctx); err != nil {
		return nil, errors.Join(err, v.close(ctx))
	}
	return v, nil
}

// open fills the map, and dials one connection of each pool.
func (v *service) open(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for _, id := range v.ids {
		lease, err := v.resolver.Acquire(ctx, id)
		if err != nil {
			return errors.Join(err, g.Wait())
		}
		v.pools[string(id)] = lease.Pool()
		g.Go(func() error {
			defer lease.Release()
			return lease.Pool().Ping(ctx)
		})
	}
	return g.Wait()
}

func (v *service) close(ctx context.Context) error {
	v.one.Close()
	return closeResolver(ctx, v.resolver)
}

// oracle knows every pool and takes no lease: what no router can do better.
func (v *service) oracle() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pool, ok := v.pools[r.PathValue("tenant")]
		if !ok {
			http.NotFound(w, r)
			return
		}
		answer(w, r, pool)
	})
}

// single has one pool for everybody: what a service without tenants does.
func (v *service) single() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answer(w, r, v.one) })
}

// leased uses the pool that a middleware has leased.
func leased() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		lease, ok := tenancy.FromContext(r.Context())
		if !ok {
			http.Error(w, "no lease", http.StatusInternalServerError)
			return
		}
		answer(w, r, lease.Pool())
	})
}

func answer(w http.ResponseWriter, r *http.Request, pool *pgxpool.Pool) {
	name, err := selectName(r.Context(), pool, 7)
	if err != nil {
		http.Error(w, "no answer", http.StatusServiceUnavailable)
		return
	}
	_, _ = io.WriteString(w, name)
}
