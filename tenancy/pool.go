package tenancy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// connectTimeout is used if Base has none. A connect goes on after its caller has left, so pgxpool's own default,
	// 2 min, would hold a connection slot for as long.
	connectTimeout     = 5 * time.Second
	pgxpoolConnectTime = 2 * time.Minute

	// maxNameLength is NAMEDATALEN - 1. PostgreSQL cuts longer names off without a word, and two of them could mean
	// one database.
	maxNameLength = 63
)

// newPool makes the pool of t's database, and dials nothing.
func (r *Resolver) newPool(t Tenant, weight int) (*opened, error) {
	cfg, ep := &r.cfg, t.Endpoint
	if err := ep.validate(); err != nil {
		return nil, err
	}
	pc := cfg.Base.Copy()
	pc.MaxConns, pc.MinConns, pc.MinIdleConns = cfg.MaxConnsPerTenant, 0, 0
	cc := pc.ConnConfig
	if err := route(&cc.Config, ep); err != nil {
		return nil, err
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
	account := &account{server: r.server(serverName(ep, cc)), id: t.ID, weight: weight}
	socks := &sockets{
		base: cc.DialFunc, account: account, timeout: cc.ConnectTimeout, wait: cfg.BudgetWait,
		isCut: make(chan struct{}), open: make(map[*socket]struct{}),
	}
	if ep.Pooled {
		unprepared(cc)
	}
	tracer := &tracer{sockets: socks}
	cc.DialFunc, cc.Tracer = socks.dial, tracer.with(cc.Tracer)
	pc.BeforeConnect = pinTarget(pc.BeforeConnect, cc, tracer)
	pc.PrepareConn = prepareForUse(pc)
	g := &guard{r: r, id: t.ID, bulkhead: &account.server.bulkhead}
	g.tenant.Store(&t)
	g.install(pc)
	cc.ConnectTimeout += max(cfg.BudgetWait, defaultBudgetWait) // pgx's includes the wait for a permit
	pool, err := pgxpool.NewWithConfig(r.ctx, pc)
	if err != nil {
		return nil, redact(err)
	}
	account.pool, g.pool = pool, pool
	return &opened{pool: pool, guard: g, sockets: socks}, nil
}

// serverName returns the name under which ep's tenants share a budget.
func serverName(ep Endpoint, cc *pgx.ConnConfig) string {
	if ep.Server != "" {
		return ep.Server
	}
	return net.JoinHostPort(cc.Host, strconv.Itoa(int(cc.Port)))
}

// prepareForUse returns the caller's hook for a connection that is acquired, but not for one that is acquired to be
// closed.
func prepareForUse(pc *pgxpool.Config) func(context.Context, *pgx.Conn) (bool, error) {
	hook, older := pc.PrepareConn, pc.BeforeAcquire //nolint:staticcheck // deprecated, but in use
	if hook == nil && older == nil {
		return nil
	}
	return func(ctx context.Context, conn *pgx.Conn) (bool, error) {
		switch {
		case ctx.Value(stealing{}) != nil:
			return true, nil
		case hook != nil:
			return hook(ctx, conn)
		}
		return older(ctx, conn), nil
	}
}

// unprepared keeps pgx from preparing statements by name, or describing them in one round trip and running them in
// another: a transaction pooler may take another connection to the server for each.
func unprepared(cc *pgx.ConnConfig) {
	switch cc.DefaultQueryExecMode {
	case pgx.QueryExecModeCacheStatement, pgx.QueryExecModeDescribeExec:
		cc.DefaultQueryExecMode = pgx.QueryExecModeExec
	}
	cc.StatementCacheCapacity = 0
}

// pinTarget lets a BeforeConnect hook change what it likes (a short-lived password, say) but neither the database nor
// who owns and counts the socket.
func pinTarget(
	hook func(context.Context, *pgx.ConnConfig) error, pinned *pgx.ConnConfig, tracer *tracer,
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
	case strings.Contains(ep.Host, ","):
		return errors.New("endpoint: Host: must be one host")
	}
	return nil
}

// route points c at ep's host and port and, if ep names a host, at no other. Base may list several hosts, each with the
// TLS alternatives of its sslmode ("prefer" is two: with and without); the first host's are used for the new one.
func route(c *pgconn.Config, ep Endpoint) error {
	targets := []*pgconn.FallbackConfig{{Host: c.Host, Port: c.Port, TLSConfig: c.TLSConfig}}
	targets = append(targets, c.Fallbacks...)
	if ep.Host != "" {
		var err error
		if targets, err = retarget(targets, ep.Host); err != nil {
			return err
		}
	}
	for _, t := range targets {
		if ep.Port != 0 {
			t.Port = ep.Port
		}
	}
	c.Host, c.Port, c.TLSConfig = targets[0].Host, targets[0].Port, targets[0].TLSConfig
	c.Fallbacks = targets[1:]
	return nil
}

func retarget(targets []*pgconn.FallbackConfig, host string) ([]*pgconn.FallbackConfig, error) {
	if isUnix(host) {
		return []*pgconn.FallbackConfig{{Host: host, Port: targets[0].Port}}, nil // as in libpq: no TLS
	}
	first := slices.IndexFunc(targets, func(t *pgconn.FallbackConfig) bool { return !isUnix(t.Host) })
	if first < 0 {
		// pgx drops sslmode for a Unix socket. Going on would send a password in the clear that Base may have
		// wanted encrypted.
		return nil, errors.New("endpoint: Host: is not a Unix socket but Config.Base has only sockets, so that TLS is undecided")
	}
	var routed []*pgconn.FallbackConfig
	for _, t := range targets[first:] {
		same := func(r *pgconn.FallbackConfig) bool { return (r.TLSConfig == nil) == (t.TLSConfig == nil) }
		if t.Host != targets[first].Host || slices.ContainsFunc(routed, same) {
			continue
		}
		routed = append(routed, &pgconn.FallbackConfig{Host: host, Port: t.Port, TLSConfig: rename(t.TLSConfig, t.Host, host)})
	}
	return routed, nil
}

// rename makes c verify and ask for the new host where it named the old one. A server name that was set by hand stays.
func rename(c *tls.Config, from, to string) *tls.Config {
	if c == nil || c.ServerName != from {
		return c
	}
	c = c.Clone()
	c.ServerName = to
	return c
}

func isUnix(host string) bool {
	network, _ := pgconn.NetworkAddress(host, 0)
	return network == "unix"
}
