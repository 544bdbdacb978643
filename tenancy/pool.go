package tenancy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/connbudget"
	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/internal/pgtarget"
)

const (
	// connectTimeout is used if Base has none. A connect goes on after its caller has left, so with pgxpool's own
	// default, 2 min, it could hold a permit for that long.
	connectTimeout     = 5 * time.Second
	pgxpoolConnectTime = 2 * time.Minute

	// maxNameLength is NAMEDATALEN - 1. PostgreSQL silently truncates longer names, so that two of them could mean one
	// database.
	maxNameLength = 63
)

// tenantPool is a pgxpool.Pool with its guard and its sockets.
type tenantPool struct {
	pgxPool *pgxpool.Pool
	guard   *guard
	sockets *sockets

	attached any    // by Config.Attach; set before the pool is leased
	detach   func() // closes attached; may be nil
}

// renew closes the pool's connections: the idle ones now, the others when they are released. o may be nil.
func (o *tenantPool) renew() {
	if o != nil {
		o.guard.generation.Add(1)
		o.pgxPool.Reset()
	}
}

// unused reports whether the pool has no connection, and none is being made.
func (o *tenantPool) unused() bool { return o.sockets.account.Unused() }

// newPool makes the pool of t's database, and dials nothing unless Config.Attach does.
func (r *Resolver) newPool(t Tenant, weight int) (*tenantPool, error) {
	cfg, ep := &r.cfg, t.Endpoint
	if err := ep.validate(); err != nil {
		return nil, err
	}
	base := cfg.Base
	if own := cfg.Bases[ep.Server]; own != nil {
		base = own
	}
	pc := base.Copy()
	pc.MaxConns, pc.MinConns, pc.MinIdleConns = cfg.MaxConnsPerTenant, 0, 0
	cc := pc.ConnConfig
	if err := pgtarget.Point(&cc.Config, ep.Host, ep.Port); err != nil {
		return nil, fmt.Errorf("endpoint: Host: %w", err)
	}
	cc.Database = ep.Database
	if ep.User != "" {
		cc.User = ep.User
	}
	if !ep.Password.IsZero() {
		cc.Password = ep.Password.Reveal()
	}
	if cc.ConnectTimeout <= 0 || cc.ConnectTimeout == pgxpoolConnectTime {
		cc.ConnectTimeout = connectTimeout
	}
	server := r.server(serverName(ep, cc))
	account := server.budget.NewAccount(string(t.ID), weight)
	socks := &sockets{
		baseDial: cc.DialFunc, account: account, timeout: cc.ConnectTimeout, wait: cfg.BudgetWait,
		isCut: make(chan struct{}), open: make(map[*socket]struct{}),
	}
	if ep.Pooled {
		disablePreparing(cc)
	}
	tracer := &poolTracer{sockets: socks}
	cc.DialFunc, cc.Tracer = socks.dial, tracer.with(cc.Tracer)
	pc.BeforeConnect = pinTarget(pc.BeforeConnect, cc, tracer)
	o := &tenantPool{sockets: socks}
	pc.PrepareConn = prepareHook(pc)
	if cfg.Strict {
		pc.PrepareConn = r.strict(o, t.ID, pc.PrepareConn)
	}
	g := &guard{r: r, id: t.ID, bulkhead: &server.bulkhead, sockets: socks}
	g.tenant.Store(&t)
	g.install(pc)
	cc.ConnectTimeout += max(cfg.BudgetWait, defaultBudgetWait) // pgx's includes the wait for a permit
	pool, err := pgxpool.NewWithConfig(r.ctx, pc)
	if err != nil {
		return nil, pgerr.Redact(err)
	}
	account.SetPool(pool)
	g.pool = pool
	o.pgxPool, o.guard = pool, g
	if err := r.attach(o, t); err != nil {
		pool.Close()
		return nil, err
	}
	return o, nil
}

// serverName returns the name under which ep's tenants share a budget.
func serverName(ep Endpoint, cc *pgx.ConnConfig) string {
	if ep.Server != "" {
		return ep.Server
	}
	return net.JoinHostPort(cc.Host, strconv.Itoa(int(cc.Port)))
}

// prepareHook returns a hook that calls the caller's PrepareConn or BeforeAcquire, except for a connection that the
// budget acquires to close it.
func prepareHook(pc *pgxpool.Config) func(context.Context, *pgx.Conn) (bool, error) {
	hook, older := pc.PrepareConn, pc.BeforeAcquire //nolint:staticcheck // deprecated, but in use
	if hook == nil && older == nil {
		return nil
	}
	return func(ctx context.Context, conn *pgx.Conn) (bool, error) {
		switch {
		case connbudget.IsReclaim(ctx):
			return true, nil
		case hook != nil:
			return hook(ctx, conn)
		}
		return older(ctx, conn), nil
	}
}

// disablePreparing keeps pgx from preparing statements by name, and from describing a statement in one round trip and
// running it in the next: a transaction pooler may use another connection to the server for each.
func disablePreparing(cc *pgx.ConnConfig) {
	switch cc.DefaultQueryExecMode {
	case pgx.QueryExecModeCacheStatement, pgx.QueryExecModeDescribeExec:
		cc.DefaultQueryExecMode = pgx.QueryExecModeExec
	}
	cc.StatementCacheCapacity = 0
}

// pinTarget lets a BeforeConnect hook change anything (a short-lived password, say) except the database, the DialFunc
// and the pool's tracer.
func pinTarget(
	hook func(context.Context, *pgx.ConnConfig) error, pinned *pgx.ConnConfig, tracer *poolTracer,
) func(context.Context, *pgx.ConnConfig) error {
	if hook == nil {
		return nil
	}
	database, dial, traced := pinned.Database, pinned.DialFunc, pinned.Tracer
	return func(ctx context.Context, cc *pgx.ConnConfig) error {
		if err := hook(ctx, cc); err != nil {
			return err
		}
		if cc.Database != database {
			return errors.New("tenancy: Config.Base.BeforeConnect must not change the database")
		}
		cc.DialFunc = dial
		if cc.Tracer != traced {
			cc.Tracer = tracer.with(cc.Tracer)
		}
		return nil
	}
}

func (ep Endpoint) validate() error {
	for name, v := range map[string]string{
		"Host": ep.Host, "Database": ep.Database, "User": ep.User, "Password": ep.Password.Reveal(),
	} {
		if strings.ContainsRune(v, 0) {
			return fmt.Errorf("endpoint: %s: contains a zero byte", name)
		}
	}
	switch {
	case ep.Database == "":
		return errors.New("endpoint: Database: required")
	case len(ep.Database) > maxNameLength:
		return fmt.Errorf("endpoint: Database: longer than %d bytes", maxNameLength)
	case len(ep.User) > maxNameLength:
		return fmt.Errorf("endpoint: User: longer than %d bytes", maxNameLength)
	}
	return nil
}
