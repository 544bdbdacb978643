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

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/internal/pgtarget"
)

// guard decides which connections of one pool come about, and when they must all go. pgx's hooks tell it of each.
type guard struct {
	r        *Resolver
	id       ID
	tenant   atomic.Pointer[Tenant] // what is known of it; replaced while the pool is in use
	bulkhead *bulkhead              // of the server that the pool connects to
	sockets  *sockets               // the pool's
	timeout  time.Duration          // bounds each thing that a new connection waits for
	pool     *pgxpool.Pool          // set before the pool is leased, and so before its first connection

	generation atomic.Int64 // of connections: those of an older one are dropped
	lockedOut  atomic.Bool  // its password was refused however often it was tried
}

// install adds the guard's hooks to those of the user's. Nobody's code gets to see a connection before the fence has
// let it through.
func (g *guard) install(pc *pgxpool.Config) {
	g.timeout = pc.ConnConfig.ConnectTimeout
	if pc.PingTimeout <= 0 {
		pc.PingTimeout = g.timeout // or a connection to a server that has vanished would be pinged for ever
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
		g.noticeAbandoned(cc)
		cc.Tracer = &connectAttempt{
			sockets: g.sockets, guard: g, tracer: cc.Tracer, began: g.r.now(), retry: passwordRetry{guard: g, known: known},
		}
		cc.OnPgError = g.watch(cc.OnPgError)
		return nil
	}
	pc.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		if g.r.cfg.Fence {
			if err := g.fence(ctx, conn); err != nil {
				return err
			}
		}
		if after != nil {
			return after(ctx, conn)
		}
		return nil
	}
}

// adopt takes t as what is known of the tenant; it has the target of the pool.
func (g *guard) adopt(t *Tenant) {
	if g.tenant.Swap(t).Endpoint.Password != t.Endpoint.Password {
		g.lockedOut.Store(false)
	}
}

// connected is told how an attempt to connect ended.
func (g *guard) connected(began time.Duration, err error) {
	g.bulkhead.ended(began, err)
	if refusesSettings(err) {
		g.bulkhead.plain.Store(true)
	}
	if refused(err) {
		g.r.doubt(g)
	}
}

// refused reports whether the server is well and does not let this tenant in: the record may be out of date.
func refused(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && slices.Contains([]string{
		pgerr.InvalidAuthorization, // the role may not log in, or is not there
		pgerr.InvalidPassword,
		pgerr.InvalidCatalogName,    // no such database
		pgerr.InsufficientPrivilege, // no right to connect
		pgerr.NotInState,            // the database takes no connections
		poolerError,
	}, pg.Code)
}

// doubtPause is how long a record that was confirmed after a doubt is not doubted again: a wrong password in the
// directory must not make every request ask it.
const doubtPause = time.Second

// fence asks the database at the other end of conn whose it is, in one round trip. It works through a transaction
// pooler.
func (g *guard) fence(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, g.timeout)
	defer cancel()
	var comment string
	// Qualified to the operator: whoever has the role's password must not answer for PostgreSQL.
	err := conn.QueryRow(ctx, `SELECT coalesce(pg_catalog.shobj_description(oid, 'pg_database'::pg_catalog.name), '')
		FROM pg_catalog.pg_database WHERE datname OPERATOR(pg_catalog.=) pg_catalog.current_database()`,
		pgx.QueryExecModeExec).Scan(&comment)
	if err != nil {
		return fmt.Errorf("tenancy: read the mark of tenant %q: %w", g.id, pgerr.Redact(err))
	}
	mark, ok := ParseMark(comment)
	if !ok {
		err = fmt.Errorf("%w: tenant %q: the database has no mark", ErrFenced, g.id)
	} else {
		err = mark.admits(g.tenant.Load())
	}
	if err != nil {
		g.r.doubt(g)
		g.r.cfg.Observer.fenced(g.id, err)
	}
	return err
}

// doubt makes the next Acquire of g's tenant ask the directory, because the server refused what is known of the tenant.
// If the record is still the same, the pool stays.
func (r *Resolver) doubt(g *guard) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.entries.Peek(g.id)
	if !ok || e.opened == nil || e.opened.guard != g {
		return // it was replaced already
	}
	if now := r.now(); e.doubted == 0 || now >= e.doubted+doubtPause {
		e.doubted, e.freshUntil = now, 0
	}
}

// watch returns an OnPgError hook for a connection that is about to be made. An error that says that the server went
// down, or turned into a standby, or that the schema is another one than the connection remembers, is true of every
// connection that was made before: the pool drops them all, once, so that not each of them must fail a query first.
func (g *guard) watch(next pgconn.PgErrorHandler) pgconn.PgErrorHandler {
	made := g.generation.Load()
	return func(conn *pgconn.PgConn, err *pgconn.PgError) bool {
		lost := isOutage(err.Code) || err.Code == pgerr.ReadOnlyTransaction && !isWritable(conn) || isOutOfDate(err)
		if lost && g.generation.CompareAndSwap(made, made+1) {
			g.pool.Reset()
		}
		return next == nil || next(conn, err)
	}
}

// isOutOfDate reports whether err says that a prepared statement, or a type that the connection knows by its number, is
// no longer what it was. 0A000 says it only where the plan is looked at again: elsewhere it is a statement that
// PostgreSQL does not support. XX000, an internal error, is what a type or table that is gone comes to.
func isOutOfDate(err *pgconn.PgError) bool {
	return err.Code == "0A000" && err.Routine == "RevalidateCachedQuery" || err.Code == "XX000"
}

// isWritable reports whether the server says, as it does from version 14 on, that it takes writes. Then it was the
// user's own transaction that was read only. What it says may be older than the statement that failed, so that it
// counts only in a transaction.
func isWritable(conn *pgconn.PgConn) bool {
	return conn.TxStatus() != 'I' && conn.ParameterStatus("in_hot_standby") == "off" && conn.ParameterStatus("default_transaction_read_only") == "off"
}

// abandonedSettings have PostgreSQL notice within a minute that a client is gone whose host says nothing any more, and
// within two seconds while a query runs that its socket was closed. By default it takes two hours, or the end of the
// query: so long the backend is there beside those that a restarted process, or one whose firewall forgot it, opens in
// its stead.
func abandonedSettings() map[string]string {
	return map[string]string{
		"tcp_keepalives_idle":              "30",
		"tcp_keepalives_interval":          "10",
		"tcp_keepalives_count":             "3",
		"tcp_user_timeout":                 "60000",
		"client_connection_check_interval": "2000",
	}
}

// noticeAbandoned gives a connection those of the settings that it does not have. A pooler refuses them, or would keep
// them for the next client.
func (g *guard) noticeAbandoned(cc *pgx.ConnConfig) {
	if g.tenant.Load().Endpoint.Pooled || g.bulkhead.plain.Load() {
		return
	}
	if cc.RuntimeParams == nil {
		cc.RuntimeParams = make(map[string]string)
	}
	for name, value := range abandonedSettings() {
		_, set := cc.RuntimeParams[name]
		if !set && (!pgtarget.IsUnix(cc.Host) || !strings.HasPrefix(name, "tcp_")) {
			cc.RuntimeParams[name] = value
		}
	}
}

// refusesSettings reports whether a server may have refused a connection for its settings: a pooler that nobody said is
// one, or a system that cannot look whether a socket is closed.
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
