package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/registry/keyring"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// catalogue is a registry, on the fleet's server, that knows some of its tenants.
type catalogue struct {
	*registry.Registry
	pool *pgxpool.Pool
}

func newCatalogue(ctx context.Context, f *fleet, tenants int) (*catalogue, error) {
	// Each tenant has a role of its own in the registry. Here they log in as one, to measure the look-up alone.
	config, err := pgxpool.ParseConfig("")
	if err != nil {
		return nil, err
	}
	config.ConnConfig = f.server.Config()
	config.ConnConfig.Database = f.template() // it has served its purpose
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	c := &catalogue{pool: pool}
	if err := c.fill(ctx, f, tenants); err != nil {
		pool.Close()
		return nil, err
	}
	return c, nil
}

func (c *catalogue) fill(ctx context.Context, f *fleet, tenants int) error {
	var err error
	if c.Registry, err = newRegistry(ctx, c.pool, f.server.Config()); err != nil {
		return err
	}
	for i, id := range f.ids[:tenants] {
		if err := c.register(ctx, f, i, id); err != nil {
			return err
		}
	}
	return nil
}

// newRegistry makes a registry in pool's database that knows one server, "bench".
func newRegistry(ctx context.Context, pool *pgxpool.Pool, server *pgx.ConnConfig) (*registry.Registry, error) {
	keyring, err := keyring.New(keyring.Config{Index: []keyring.Key{newKey()}, Seal: []keyring.Key{newKey()}})
	if err != nil {
		return nil, err
	}
	if err := registry.Migrate(ctx, pool); err != nil {
		return nil, err
	}
	reg, err := registry.New(registry.Config{Pool: pool, Keyring: keyring})
	if err != nil {
		return nil, err
	}
	return reg, reg.PutServer(ctx, registry.Server{Name: "bench", Host: server.Host, Port: server.Port})
}

func (c *catalogue) register(ctx context.Context, f *fleet, i int, id tenancy.ID) error {
	email, err := registry.ParseEmail(fmt.Sprintf("admin%d@example.com", i))
	if err != nil {
		return err
	}
	claim, err := catalog.Of(c.Registry).Reserve(ctx, catalog.Reservation{
		ID: id, Database: f.database(i), Role: f.prefix, Password: tenancy.NewSecret(f.password), SchemaHash: "bench",
		Organization: registry.Organization{Name: "Bench", Email: email},
		Admin:        registry.Admin{ID: fmt.Sprintf("admin%d", i), Email: email},
		Owner:        "bench", TTL: time.Minute,
	})
	if err != nil {
		return err
	}
	return catalog.Of(c.Registry).Activate(ctx, claim)
}

func newKey() keyring.Key {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	return keyring.Key{ID: 1, Secret: secret}
}
