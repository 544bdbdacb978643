package tenancy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/connbudget"
	"github.com/pgtenancy/pgtenancy/internal/histogram"
	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/internal/pgtarget"
)

// guard decides which connections of one pool are made and kept, through pgx's hooks.
type guard struct {
	r        *Resolver
	id       ID
	tenant   atomic.Pointer[Tenant] // its record; replaced while the pool is in use
	bulkhead *bulkhead              // of the server that the pool connects to
	dials    *histogram.Histogram   // that server's
	sockets  *sockets               // the pool's
	timeout  time.Duration          // bounds each step of a new connection
	pool     *pgxpool.Pool          // set before the pool is leased, and so before its first connection

	generation atomic.Int64 // of connections: those of an older one are dropped
	own        atomic.Int32 // Config.Attach or its close runs and may use the pool without a lease
	lockedOut  atomic.Bool  // the last connect was refused for its password at every try
}

// install adds the guard's hooks to the caller's. The fence runs before any hook of the caller's sees the connection.
func (g *guard) install(pc *pgxpool.Config) {
	g.timeout = pc.ConnConfig.ConnectTimeout
	if pc.PingTimeout <= 0 {
		pc.PingTimeout = g.timeout // or a connection to a server that has vanished would be pinged for ever
	}
	if g.r.cfg.Strict {
		g.refuseReleased(pc)
	}
	before, after := pc.BeforeConnect, pc.AfterConnect
	pc.BeforeConnect = func(ctx context.Context, cc *pgx.ConnConfig) error {
		known := g.tenant.Load()
		if password := known.Endpoint.Password; !password.IsZero() {
			cc.Password = password.Reveal()
		}
		if before != nil {
			if err := before(ctx, cc); err != nil {
				return err
			}
		}
		if err := g.bulkhead.admit(); err != nil {
			return err
		}
		g.addKeepalives(cc)
		cc.Tracer = &connectAttempt{
			sockets: g.sockets, guard: g, tracer: cc.Tracer, began: g.r.now(), retry: passwordRetry{guard: g, known: known},
		}
		cc.OnPgError = g.watchErrors(cc.OnPgError)
		return nil
	}
	pc.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		var err error
		if g.r.cfg.Fence {
			err = g.fence(ctx, conn)
		}
		data := conn.PgConn().CustomData()
		if a, ok := data[attemptData].(*connectAttempt); ok {
			delete(data, attemptData)
			g.dialEnded(ctx, a, err)
		}
		if err != nil {
			return err
		}
		if after != nil {
			return after(ctx, conn)
		}
		return nil
	}
}

// refuseReleased adds a hook that refuses a connection to a caller whose lease is over, for Config.Strict.
func (g *guard) refuseReleased(pc *pgxpool.Config) {
	next := pc.PrepareConn
	pc.PrepareConn = func(ctx context.Context, conn *pgx.Conn) (bool, error) {
		if !connbudget.IsReclaim(ctx) && !g.inUse() {
			return true, fmt.Errorf("%w: tenant %q", ErrReleased, g.id)
		}
		if next != nil {
			return next(ctx, conn)
		}
		return true, nil
	}
}

// inUse reports whether there is a lease of g's pool, or something of Config.Attach uses it.
func (g *guard) inUse() bool {
	r := g.r
	r.mu.Lock()
	defer r.mu.Unlock()
	isLeased := func(e *entry) bool { return e.pool != nil && e.pool.guard == g && e.leases > 0 }
	if e, ok := r.entries.Peek(g.id); ok && isLeased(e) || g.own.Load() > 0 {
		return true
	}
	for e := range r.retiring {
		if isLeased(e) {
			return true
		}
	}
	return false
}

// setTenant replaces the tenant's record by t, which has the pool's target.
func (g *guard) setTenant(t *Tenant) {
	if g.tenant.Swap(t).Endpoint.Password != t.Endpoint.Password {
		g.lockedOut.Store(false)
	}
}

// connectEnded handles the result of an attempt that began at the given time.
func (g *guard) connectEnded(began time.Duration, err error) {
	g.bulkhead.record(began, err)
	if refusesSettings(err) {
		g.bulkhead.noSettings.Store(true)
	}
	if refusesTenant(err) {
		g.r.doubt(g)
	}
}

// dialEnded counts and reports a connect that has ended, with the fence, unless it ended before a dial.
func (g *guard) dialEnded(ctx context.Context, a *connectAttempt, err error) {
	if !a.dialled {
		return
	}
	took := g.r.now() - a.began - a.waited
	g.dials.Observe(took)
	if err != nil {
		err = pgerr.Redact(err)
	}
	g.r.cfg.Observer.dialled(ctx, g.id, g.bulkhead.name, took, err)
}

// refusesTenant reports whether the server is well and refuses this tenant: the record may be out of date.
func refusesTenant(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && slices.Contains([]string{
		pgerr.InvalidAuthorization, // the role may not log in, or does not exist
		pgerr.InvalidPassword,
		pgerr.InvalidCatalogName,    // no such database
		pgerr.InsufficientPrivilege, // no right to connect
		pgerr.NotInState,            // the database takes no connections
		poolerError,
	}, pg.Code)
}

// doubtPause is the least time between two look-ups that doubt starts for one tenant: a wrong password in the directory
// must not make every request ask it.
const doubtPause = time.Second

// fence reads the owner tag of the database that conn is connected to, in one round trip, and returns an error if g's
// tenant must not use it. It works through a transaction pooler.
func (g *guard) fence(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, g.timeout)
	defer cancel()
	var comment string
	// Everything is qualified, operators too: the tenant's role must not be able to answer in PostgreSQL's place.
	err := conn.QueryRow(ctx, `SELECT coalesce(pg_catalog.shobj_description(oid, 'pg_database'::pg_catalog.name), '')
		FROM pg_catalog.pg_database WHERE datname OPERATOR(pg_catalog.=) pg_catalog.current_database()`,
		pgx.QueryExecModeExec).Scan(&comment)
	if err != nil {
		return fmt.Errorf("tenancy: read the owner tag of tenant %q: %w", g.id, pgerr.Redact(err))
	}
	tag, ok := ParseOwnerTag(comment)
	if !ok {
		err = fmt.Errorf("%w: tenant %q: the database has no owner tag", ErrFenced, g.id)
	} else {
		err = tag.admits(g.tenant.Load())
	}
	if err != nil {
		g.r.doubt(g)
		g.r.cfg.Observer.fenced(g.id, err)
	}
	return err
}

// doubt makes the next Acquire of g's tenant ask the directory, because the server refused the record. If the record is
// still the same, the pool stays.
func (r *Resolver) doubt(g *guard) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.entries.Peek(g.id)
	if !ok || e.pool == nil || e.pool.guard != g {
		return // it was replaced already
	}
	if now := r.now(); e.doubted == 0 || now >= e.doubted+doubtPause {
		e.doubted, e.freshUntil = now, 0
	}
}

// watchErrors returns an OnPgError hook for a connection that is about to be made. Some errors are true of every
// connection made before: the server is shutting down, has become a standby, or has a schema that differs from what the
// connection cached. Then the pool drops all of them, once, so that not each one has to fail a query first.
func (g *guard) watchErrors(next pgconn.PgErrorHandler) pgconn.PgErrorHandler {
	made := g.generation.Load()
	return func(conn *pgconn.PgConn, err *pgconn.PgError) bool {
		lost := isOutage(err.Code) || err.Code == pgerr.ReadOnlyTransaction && !isWritable(conn) || isOutOfDate(err)
		if lost && g.generation.CompareAndSwap(made, made+1) {
			g.pool.Reset()
		}
		return next == nil || next(conn, err)
	}
}

// isOutOfDate reports whether err says that a prepared statement, or a type that the connection knows by its number,
// has changed. 0A000 means that only in RevalidateCachedQuery: elsewhere it is a statement that PostgreSQL does not
// support. XX000, an internal error, is what PostgreSQL answers for a type or table that is gone.
func isOutOfDate(err *pgconn.PgError) bool {
	return err.Code == "0A000" && err.Routine == "RevalidateCachedQuery" || err.Code == "XX000"
}

// isWritable reports whether the server says, as it does from version 14 on, that it accepts writes. Then the caller's
// own transaction was read only. The report may be older than the statement that failed, so it counts only in a
// transaction.
func isWritable(conn *pgconn.PgConn) bool {
	return conn.TxStatus() != 'I' && conn.ParameterStatus("in_hot_standby") == "off" &&
		conn.ParameterStatus("default_transaction_read_only") == "off"
}

// keepaliveSettings make PostgreSQL notice within a minute that a client's host no longer answers, and within two
// seconds that the client closed its socket while a query runs. By default it takes two hours, or until the query ends.
// For that time the old backend counts at the server beside the new connections of a restarted process.
func keepaliveSettings() map[string]string {
	return map[string]string{
		"tcp_keepalives_idle":              "30",
		"tcp_keepalives_interval":          "10",
		"tcp_keepalives_count":             "3",
		"tcp_user_timeout":                 "60000",
		"client_connection_check_interval": "2000",
	}
}

// addKeepalives adds the keepaliveSettings that cc does not set itself. It adds none behind a pooler, which refuses
// them or would keep them for the next client.
func (g *guard) addKeepalives(cc *pgx.ConnConfig) {
	if g.tenant.Load().Endpoint.Pooled || g.bulkhead.noSettings.Load() {
		return
	}
	if cc.RuntimeParams == nil {
		cc.RuntimeParams = make(map[string]string)
	}
	for name, value := range keepaliveSettings() {
		_, set := cc.RuntimeParams[name]
		if !set && (!pgtarget.IsUnix(cc.Host) || !strings.HasPrefix(name, "tcp_")) {
			cc.RuntimeParams[name] = value
		}
	}
}

// refusesSettings reports whether a server may have refused a connection for its settings: a pooler whose Endpoint is
// not marked as Pooled, or a system that cannot check whether a socket is closed.
func refusesSettings(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return false
	}
	switch pg.Code {
	case poolerError,
		pgerr.UndefinedObject, // no such setting
		"22023":               // invalid_parameter_value
		return true
	}
	return false
}
