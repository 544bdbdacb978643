package tenancytest

import (
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Config says what the tenants of a [Fleet] are like. The zero Config gives them empty databases.
type Config struct {
	// Schema makes the schema of a tenant's database: [SQL], [Files] or [Migrations], a schema of package
	// provision/atlas, or one of your own. Default: an empty database.
	Schema Schema

	// TenantOwns makes the tenants' role the owner of the databases and of what Schema makes, as where a service migrates
	// its tenants' databases itself. Default: the role may read and write, and cannot change the schema, as the roles of
	// package provision. It has no effect on a System.
	TenantOwns bool

	// Strict sets tenancy.Config.Strict, and fails a test whose code uses a pool after its lease: the query gets
	// tenancy.ErrReleased, and the test has the stack of its goroutine. While another lease of the same tenant is held, it
	// goes unnoticed. Default: such a query works until the pool is evicted, as in production.
	Strict bool

	// Resolver changes the resolver's configuration before it is used, for example its Observer or the tracer of its
	// Base. Directory, and the host and the DialFunc of Base, must stay. Default: no change.
	Resolver func(*tenancy.Config)
}

// SystemConfig says what a [System] is like. Schema is required.
type SystemConfig struct {
	// Config has the schema and the resolver's configuration. If its Schema is no provision.Schema, Upgrade fails.
	Config

	// Provision changes the provisioner's configuration before it is used, for example its Seed, SideEffects or Warm.
	// Registry, Admin, Schema and Prefix must stay. Default: no change.
	Provision func(*provision.Config)

	// Registry changes the registry's configuration before it is used. Pool must stay. Default: no change.
	Registry func(*registry.Config)
}
