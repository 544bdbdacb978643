package tenancy

import (
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

// Pool returns the tenant's pool. It is shared: do not close it, and do not use it after Release. Another lease may have
// another pool of the same database.
func (l *Lease) Pool() *pgxpool.Pool { return l.pool }

// Tenant returns what the directory last said of the tenant.
func (l *Lease) Tenant() Tenant { return *l.e.tenant.Load() }

// Release gives the lease back. Connections, rows and transactions of the pool must have been given back before. Only
// the first call counts; another does nothing, and takes no other holder's lease.
func (l *Lease) Release() {
	if l.released.CompareAndSwap(false, true) {
		l.e.r.release(l.e)
	}
}
