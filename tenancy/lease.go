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
	pool     *pgxpool.Pool
	released atomic.Bool
}

// Pool returns the tenant's pool. It is shared: do not close it, and do not use it after Release. Another lease may
// have another pool of the same database.
//
// For a library that makes connections by itself (a migration tool, database/sql), Pool().Config().ConnConfig leads to
// the tenant's database, by stdlib.OpenDB or pgx.ConnectConfig; such connections are not counted against MaxConns, and
// need not end with the lease. There is no connection string: ConnString returns one that leads nowhere.
func (l *Lease) Pool() *pgxpool.Pool { return l.pool }

// Tenant returns what the directory last said of the tenant.
func (l *Lease) Tenant() Tenant { return *l.e.tenant.Load() }

// Done returns a channel that is closed when the lease is over: when its pool begins to drain, because the tenant was
// suspended or deleted, its database moved, Evict was called, or the resolver is being closed. A rotated password and a
// renewal of the connections end no lease. Nothing is cut then: what runs has until Config.DrainTimeout, or the end of
// the context given to Close, and the holder owes Release as ever.
//
// A handler that goes on for long must listen, as to its context: a stream of events that does not query would not
// notice otherwise that its tenant is closed. A suspension in the registry arrives within a second where registry's
// Follow runs.
func (l *Lease) Done() <-chan struct{} { return l.e.over }

// Err returns nil until Done is closed, and then why: an error that matches ErrNotActive and the state's own
// ([ErrSuspended], [ErrDeleting]), [ErrNotFound], [ErrEvicted] or [ErrClosed].
func (l *Lease) Err() error {
	select {
	case <-l.e.over:
		return l.e.why
	default:
		return nil
	}
}

// Release gives the lease back. Connections, rows and transactions of the pool must have been given back before. Only
// the first call counts; another does nothing, and takes no other holder's lease.
func (l *Lease) Release() {
	if l.released.CompareAndSwap(false, true) {
		l.e.r.release(l.e)
	}
}

type contextKey struct{}

// NewContext returns a copy of ctx that carries l. It does not release l when ctx ends: whoever acquired l still does.
func NewContext(ctx context.Context, l *Lease) context.Context {
	return context.WithValue(ctx, contextKey{}, l)
}

// MustFromContext is FromContext where there must be a lease: it panics without one. It is meant for handlers behind
// package middleware, which lets no request through without.
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
