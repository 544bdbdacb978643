package tenancy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/connbudget"
)

// Config configures a [Resolver]. Directory and Base are required; any other field left zero has the default that its
// comment names.
type Config struct {
	// Directory knows the tenants.
	Directory Directory

	// Aliases finds tenants by other names, for [Resolver.ResolveAlias]. Default: Directory, if it is an AliasDirectory.
	Aliases AliasDirectory

	// MaxAliases limits how many aliases are remembered. Default: 65536.
	MaxAliases int

	// Base is the configuration that every tenant's pool starts from: TLS, time-outs, tracer, hooks. Make it with
	// pgxpool.ParseConfig. New copies it. Host, port, database, user and password of a pool come from the tenant's
	// Endpoint; MaxConns is MaxConnsPerTenant, and MinConns and MinIdleConns are 0. An Endpoint with a host is reached
	// with the TLS settings of Base's first TCP host, and at no other host. Where Base does not name that host and port
	// itself, and no require_auth, the server must ask for SCRAM; it gets no password in clear text.
	// Without a connect time-out it is 5 s.
	//
	// Unless its RuntimeParams have them, or the Endpoint is Pooled, a connection gets the settings
	// tcp_keepalives_idle, tcp_keepalives_interval and tcp_keepalives_count, of 30 s, 10 s and 3, tcp_user_timeout of
	// 60 s and client_connection_check_interval of 2 s, so that PostgreSQL soon notices that this process is gone. If a
	// server refuses them, one connection fails, and later ones are made without them.
	Base *pgxpool.Config

	// Bases are Base for the tenants of servers with these names (Endpoint.Server): servers of a managed service may each
	// have a certificate authority of their own. Base is required all the same. Default: Base for all.
	Bases map[string]*pgxpool.Config

	// MaxPools limits how many pools are open at once, leased or not. A pool that is draining counts until it is
	// closed. When all are leased, other tenants wait: do not let a client that sends its body or reads the response
	// slowly decide how long a lease is held (middleware.Config.BodyFirst). Default: 1024.
	MaxPools int

	// MaxConnsPerTenant limits the connections of one tenant's pool. Default: 4.
	MaxConnsPerTenant int32

	// MaxConns limits the connections to one server, of all its tenants together: those in use, idle, being dialled and
	// being closed. When they are reached, a new connection replaces an idle one of another tenant, or waits. The limit
	// is this resolver's; several processes divide what the server allows. Tenants are on one server if their Endpoint
	// has the same Server or, without that, the same host and port. Default: 80, which leaves 20 of PostgreSQL's 100 to
	// administrators, provisioning and listeners. Negative: no limit.
	MaxConns int

	// BudgetWait bounds how long a connection waits for its place among MaxConns, and a query for a connection if all
	// MaxConnsPerTenant are in use. Then the query fails with an error that matches ErrAtCapacity. The connect time-out
	// of Base begins when the wait is over. Default: 5 s. Negative: a connection waits for no other tenant's in use,
	// only for an idle one to be closed, and 25 ms at most for one of its own tenant's; if all MaxConnsPerTenant
	// are in use, a query waits 5 s for one.
	BudgetWait time.Duration

	// Weight returns a tenant's weight: when MaxConns is not enough for all tenants of a server, each has a share of it
	// in proportion to its weight. It is called when a pool is opened. Less than 1 counts as 1. Default: 1 for every
	// tenant.
	Weight func(ID) int

	// CapacityWait bounds how long an Acquire waits for a pool to come free when all MaxPools are leased. Default: 5 s.
	// Negative: it does not wait for a lease to end.
	CapacityWait time.Duration

	// OpenTimeout bounds the directory look-up for one tenant. A Directory that ignores its context makes callers wait
	// longer. Default: 10 s.
	OpenTimeout time.Duration

	// TTL is how long a tenant's record is trusted before the directory is asked again. It bounds how long a missed
	// invalidation can go unnoticed. Default: 1 min. Negative: for ever.
	TTL time.Duration

	// StaleGrace is how long after its TTL a known tenant is still served while the directory fails or takes longer
	// than 250 ms. Meanwhile the directory is asked every 5 s for a tenant in use. Default: 10 min. Negative: not at
	// all.
	StaleGrace time.Duration

	// NotFoundTTL is how long "no such tenant" is remembered. Default: 5 s. Negative: not at all.
	NotFoundTTL time.Duration

	// MaxNotFound limits how many unknown IDs are remembered. Default: 8192.
	MaxNotFound int

	// IdleTimeout is how long a pool without a lease stays open. Default: 10 min. Negative: for ever.
	IdleTimeout time.Duration

	// DrainTimeout bounds how long a pool that was evicted waits for its leases. When it is over, the pool's sockets
	// are closed under their users, and PostgreSQL is asked to cancel what they run. Default: 30 s. Negative: it waits
	// for ever.
	DrainTimeout time.Duration

	// MaxDialsPerServer limits how many connections to one server are being made at once. Others wait, as for one of
	// MaxConns. Default: an eighth of MaxConns, at least 4. Negative: no limit.
	MaxDialsPerServer int

	// BreakerThreshold is how many attempts in a row to connect to one server must fail, of any tenants, before
	// queries that need a new connection to it get [ErrServerDown] at once. One attempt is let through after each pause
	// of 0.5 s to 2 s. A connection that the server refuses to one tenant alone is no failure. Default: 5. Negative:
	// never.
	BreakerThreshold int

	// Fence checks the database itself before a new connection is used, in one round trip: its comment must be an
	// [OwnerTag] of the tenant that is not fenced and whose epoch is not greater than the record's. Otherwise the query
	// gets [ErrFenced], and the next Acquire asks the directory. Set it if all databases have an owner tag; those of
	// package provision do. Through a transaction pooler it checks when a connection to the pooler is made, and not
	// again when the pooler takes another to the server.
	Fence bool

	// Attach makes what is to live as long as a tenant's pool: a *gorm.DB, an *ent.Client, a cache. It is called when a
	// pool is opened, before its first lease; [Attached] returns the value. detach, which may be nil, is called once when
	// the pool is closed: after its last lease, or after DrainTimeout. A pool that has had no connection for a moment is
	// closed too, and made anew when the tenant is leased again. An error, or a panic, fails the Acquire. ctx ends after
	// OpenTimeout, and does not govern the value. detach must neither wait for a lease nor panic. Default: nothing.
	Attach func(ctx context.Context, t Tenant, pool *pgxpool.Pool) (value any, detach func(), err error)

	// Strict has a pool that is used after Release fail with [ErrReleased]. It is meant for tests: it costs each use of a
	// connection a lock of the resolver. It does not see a use while another lease of the same tenant is held. Default: it
	// does not.
	Strict bool

	// Observer's functions are called for events of pools and servers.
	Observer Observer
}

const (
	defaultMaxPools          = 1024
	defaultMaxConnsPerTenant = 4
	defaultMaxConns          = 80
	defaultBudgetWait        = connbudget.DefaultWait
	defaultCapacityWait      = 5 * time.Second
	defaultOpenTimeout       = 10 * time.Second
	defaultTTL               = time.Minute
	defaultStaleGrace        = 10 * time.Minute
	defaultNotFoundTTL       = 5 * time.Second
	defaultMaxNotFound       = 8192
	defaultMaxAliases        = 65536
	defaultIdleTimeout       = 10 * time.Minute
	defaultDrainTimeout      = 30 * time.Second
	defaultBreakerThreshold  = 5
)

func (c Config) withDefaults() Config {
	c.MaxPools = cmp.Or(c.MaxPools, defaultMaxPools)
	c.MaxConnsPerTenant = cmp.Or(c.MaxConnsPerTenant, defaultMaxConnsPerTenant)
	c.MaxConns = cmp.Or(c.MaxConns, defaultMaxConns)
	c.BudgetWait = cmp.Or(c.BudgetWait, defaultBudgetWait)
	if c.Weight == nil {
		c.Weight = func(ID) int { return 1 }
	}
	c.CapacityWait = cmp.Or(c.CapacityWait, defaultCapacityWait)
	c.OpenTimeout = cmp.Or(c.OpenTimeout, defaultOpenTimeout)
	c.TTL = cmp.Or(c.TTL, defaultTTL)
	c.StaleGrace = cmp.Or(c.StaleGrace, defaultStaleGrace)
	c.NotFoundTTL = cmp.Or(c.NotFoundTTL, defaultNotFoundTTL)
	c.MaxNotFound = cmp.Or(c.MaxNotFound, defaultMaxNotFound)
	c.MaxAliases = cmp.Or(c.MaxAliases, defaultMaxAliases)
	if found, ok := c.Directory.(AliasDirectory); ok && c.Aliases == nil {
		c.Aliases = found
	}
	c.IdleTimeout = cmp.Or(c.IdleTimeout, defaultIdleTimeout)
	c.DrainTimeout = cmp.Or(c.DrainTimeout, defaultDrainTimeout)
	c.BreakerThreshold = cmp.Or(c.BreakerThreshold, defaultBreakerThreshold)
	return c
}

// validate reports every violation. c has its defaults.
func (c Config) validate() error {
	var errs []error
	check := func(ok bool, field, rule string) {
		if !ok {
			errs = append(errs, fmt.Errorf("tenancy: Config.%s: %s", field, rule))
		}
	}
	check(c.Directory != nil, "Directory", "required")
	check(c.Base != nil, "Base", "required")
	check(c.Base == nil || parsed(c.Base), "Base", "must be made by pgxpool.ParseConfig")
	for name, base := range c.Bases {
		check(base != nil && parsed(base), fmt.Sprintf("Bases[%q]", name), "must be made by pgxpool.ParseConfig")
	}
	check(c.MaxPools > 0, "MaxPools", "must not be negative")
	check(c.MaxConnsPerTenant > 0, "MaxConnsPerTenant", "must not be negative")
	check(c.OpenTimeout > 0, "OpenTimeout", "must not be negative")
	check(c.MaxNotFound > 0, "MaxNotFound", "must not be negative")
	check(c.MaxAliases > 0, "MaxAliases", "must not be negative")
	return errors.Join(errs...)
}

// parsed reports whether base comes from ParseConfig. pgxpool panics otherwise, and it would do so in a
// goroutine of the resolver, at the first tenant.
func parsed(base *pgxpool.Config) (ok bool) {
	if base.ConnConfig == nil {
		return false
	}
	defer func() { ok = recover() == nil }()
	probe := base.Copy()
	probe.MaxConns, probe.MinConns, probe.MinIdleConns = 1, 0, 0
	if pool, err := pgxpool.NewWithConfig(context.Background(), probe); err == nil {
		pool.Close()
	}
	return true
}

// tick is how often the coarse clock moves: a tenth of the shortest time that is measured with it, at most 1 s.
func (c Config) tick() time.Duration {
	tick := 10 * time.Second
	for _, d := range []time.Duration{c.TTL, c.IdleTimeout} {
		if d > 0 {
			tick = min(tick, d)
		}
	}
	return max(tick/10, time.Millisecond)
}
