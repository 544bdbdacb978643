package tenancy

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// turnTime is how long a tenant keeps a connection that is within its share, although others without one wait. A dial
	// costs about 4 ms, so that taking turns costs at most a seventh of the time.
	turnTime = 25 * time.Millisecond

	// swapPause is how often, at most, a tenant's own connection is closed for another dial of the same tenant. That
	// gains the tenant nothing, but the dial must not wait for ever.
	swapPause = 100 * time.Millisecond

	// lively is how long after its last use a connection within its tenant's share is safe from tenants beyond theirs.
	lively = time.Second

	// shareAge is how long the sum of those who want connections is used before it is made anew.
	shareAge = time.Millisecond
)

// account is what one pool has of its server's budget.
type account struct {
	server *server
	id     ID // the tenant's
	weight int
	pool   *pgxpool.Pool // set before the first dial

	uses  atomic.Int32 // releases since the sieve's hand passed, up to two: one is the use that it was dialled for
	used  atomic.Int64 // Unix time, in ns, of the last release
	gated atomic.Int32 // length of gate's queue, for those who only need to know whether it is empty
	asks  atomic.Int32 // those who are acquiring a connection
	lent  atomic.Int32 // idle connections that longestIdle looks at and puts back, which is no use of them

	// server.mu guards the rest.
	gate    gate
	held    int       // permits
	waiting int       // dials in the queue
	turn    time.Time // when it last got one
	swapped time.Time // when it last gave one to itself
}

// touch notes that a connection was used.
func (a *account) touch(now time.Time) {
	a.used.Store(now.UnixNano())
	if a.uses.Load() < 2 {
		a.uses.Add(1)
	}
}

func (a *account) idle() bool { return a.held > 0 && a.pool != nil && a.pool.Stat().IdleConns() > 0 }

// wants reports whether a counts among those who divide the budget: it waits, or has used what it holds a moment ago.
func (a *account) wants(now time.Time) bool {
	return a.waiting > 0 || now.UnixNano()-a.used.Load() < int64(lively)
}

// demand is the weight of all accounts that want connections, as of some time.
type demand struct {
	weight int
	at     time.Time
}

// shareLocked returns a's fair share of the budget: in proportion to its weight among those that want connections, and
// at least one. Caller holds s.mu.
func (s *server) shareLocked(a *account) int {
	if s.limit == math.MaxInt {
		return s.limit
	}
	if now := time.Now(); s.demand.weight == 0 || now.Sub(s.demand.at) > shareAge {
		s.demand = demand{at: now}
		for _, m := range s.sieve.members {
			if m.wants(now) {
				s.demand.weight += m.weight
			}
		}
	}
	return max(1, s.limit*a.weight/max(s.demand.weight, a.weight))
}

// belowLocked reports whether a has less than its share. Caller holds s.mu.
func (s *server) belowLocked(a *account) bool { return a.held == 0 || a.held < s.shareLocked(a) }

// safeLocked reports whether a's connections must not go to a tenant beyond its share. Caller holds a.server.mu.
func (a *account) safeLocked(now time.Time) bool {
	return a.wants(now) && a.held <= a.server.shareLocked(a)
}
