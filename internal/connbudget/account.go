package connbudget

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// turnTime is how long a tenant keeps a connection that is within its share, although others without one wait. A
	// dial costs about 4 ms, so that taking turns costs at most a seventh of the time.
	turnTime = 25 * time.Millisecond

	// swapInterval is the least time between two connections of one tenant that are closed for another dial of the same
	// tenant. That gains the tenant nothing, but the dial must not wait for ever.
	swapInterval = 100 * time.Millisecond

	// recentUse is how long after its last use a connection within its tenant's share is protected from tenants beyond
	// theirs.
	recentUse = time.Second

	// demandAge is how long a computed demand is used before it is computed again.
	demandAge = time.Millisecond
)

// Account is the part that one pool has in a [Budget].
type Account struct {
	budget *Budget
	tenant string
	weight int
	pool   *pgxpool.Pool // set before the first dial; nil in tests of the queue alone

	uses       atomic.Int32 // releases since the sieve's hand passed, up to two: one is the use that it was dialled for
	used       atomic.Int64 // Unix time, in ns, of the last release
	ownWaiting atomic.Int32 // length of ownQueue, to check without its lock whether it is empty
	acquiring  atomic.Int32 // acquires in progress
	lent       atomic.Int32 // idle connections that longestIdle looks at and puts back, which is no use of them

	// Budget.mu guards the rest.
	ownQueue []chan struct{} // acquires that wait for one of the tenant's own connections; FIFO
	held     int             // permits
	waiting  int             // dials in Budget.queue
	granted  time.Time       // when it last got a permit
	swapped  time.Time       // when it last closed a connection for itself
}

// NewAccount returns an account of the given weight, at least 1, with no connection. The tenant's name is for errors.
func (b *Budget) NewAccount(tenant string, weight int) *Account {
	return &Account{budget: b, tenant: tenant, weight: weight}
}

// SetPool names the pool whose connections a counts. It must be called before the pool dials.
func (a *Account) SetPool(pool *pgxpool.Pool) { a.pool = pool }

// Unused reports whether a holds no permit and no dial waits for one.
func (a *Account) Unused() bool {
	a.budget.mu.Lock()
	defer a.budget.mu.Unlock()
	return a.held == 0 && a.waiting == 0
}

// touch notes that a connection was used.
func (a *Account) touch(now time.Time) {
	a.used.Store(now.UnixNano())
	if a.uses.Load() < 2 {
		a.uses.Add(1)
	}
}

// hasIdle reports whether one of a's connections is idle. Caller holds Budget.mu.
func (a *Account) hasIdle() bool { return a.held > 0 && a.pool != nil && a.pool.Stat().IdleConns() > 0 }

// wants reports whether a counts among the accounts that divide the budget: it waits, or has used what it holds a
// moment ago. Caller holds Budget.mu.
func (a *Account) wants(now time.Time) bool {
	return a.waiting > 0 || now.UnixNano()-a.used.Load() < int64(recentUse)
}

// demand is the weight of all accounts that want connections, as of some time.
type demand struct {
	weight int
	at     time.Time
}

// shareLocked returns a's fair share of the budget: in proportion to its weight among the accounts that want
// connections, and at least one. Caller holds b.mu.
func (b *Budget) shareLocked(a *Account) int {
	if b.limit == math.MaxInt {
		return b.limit
	}
	if now := time.Now(); b.demand.weight == 0 || now.Sub(b.demand.at) > demandAge {
		b.demand = demand{at: now}
		for _, m := range b.sieve.members {
			if m.wants(now) {
				b.demand.weight += m.weight
			}
		}
	}
	return max(1, b.limit*a.weight/max(b.demand.weight, a.weight))
}

// belowShareLocked reports whether a has less than its share. Caller holds b.mu.
func (b *Budget) belowShareLocked(a *Account) bool { return a.held == 0 || a.held < b.shareLocked(a) }

// protectedLocked reports whether a's connections must not go to a tenant beyond its share. Caller holds a.budget.mu.
func (a *Account) protectedLocked(now time.Time) bool {
	return a.wants(now) && a.held <= a.budget.shareLocked(a)
}
