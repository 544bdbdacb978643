package tenancy

import (
	"context"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Lease is the right to use one tenant's pool until Release. Each Acquire returns a lease of its own. Its methods may
// be called from several goroutines.
type Lease struct {
	e        *entry
	pool     *tenantPool
	released atomic.Bool
}

// Pool returns the tenant's pool. It is shared: do not close it, and do not use it after Release. Another lease may
// have another pool of the same database.
//
// A library that makes connections by itself (a migration tool, database/sql) can use Pool().Config().ConnConfig, with
// stdlib.OpenDB or pgx.ConnectConfig. Such connections count against MaxConns, but the fence does not check them, they
// are never closed to make room for another tenant, and the resolver does not close them when the lease ends, except by
// cutting the pool. There is no connection string: the string that ConnString returns leads nowhere.
func (l *Lease) Pool() *pgxpool.Pool { return l.pool.pgxPool }

// Tenant returns the tenant's record, as the directory last returned it.
func (l *Lease) Tenant() Tenant { return *l.e.tenant.Load() }

// Done returns a channel that is closed when the lease is over: when its pool begins to drain, because the tenant was
// suspended or deleted, its database moved, Evict was called, or the resolver is being closed. A rotated password and a
// renewal of the connections end no lease. Queries go on for up to Config.DrainTimeout, or until the context given to
// Close ends, and the holder must still call Release.
//
// A long-running handler should select on Done as it does on its context: a stream of events that does not query would
// otherwise not notice that its tenant was suspended. A suspension in the registry arrives within a second where
// registry's Follow runs.
func (l *Lease) Done() <-chan struct{} { return l.e.done }

// Err returns nil until Done is closed, and then why: an error that matches ErrNotActive and the state's own
// ([ErrSuspended], [ErrDeleting]), [ErrNotFound], [ErrEvicted] or [ErrClosed].
func (l *Lease) Err() error {
	select {
	case <-l.e.done:
		return l.e.doneErr
	default:
		return nil
	}
}

// Release ends the lease. Close or release every row, transaction and connection of the pool first. Only the first call
// counts; another does nothing, and does not affect other holders' leases.
func (l *Lease) Release() {
	if l.released.CompareAndSwap(false, true) {
		l.e.r.release(l.e)
	}
}

type contextKey struct{}

// NewContext returns a copy of ctx that carries l. l is not released when ctx ends: the caller of Acquire must do that.
func NewContext(ctx context.Context, l *Lease) context.Context {
	return context.WithValue(ctx, contextKey{}, l)
}

// MustFromContext returns the lease that ctx carries, and panics if there is none. It is meant for handlers behind
// package middleware, which passes no request on without a lease.
func MustFromContext(ctx context.Context) *Lease {
	l, ok := FromContext(ctx)
	if !ok {
		panic("tenancy: no lease in the context: is the route behind middleware's Handler or Tenant?")
	}
	return l
}

// FromContext returns the lease that ctx carries. The caller borrows it, and must not release it.
func FromContext(ctx context.Context) (*Lease, bool) {
	l, ok := ctx.Value(contextKey{}).(*Lease)
	return l, ok && l != nil
}
