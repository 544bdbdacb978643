package tenancy

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

type entryState uint8

const (
	active   entryState = iota // in Resolver.entries: may be leased
	draining                   // evicted: its leases run out
	closed
)

// entry is one pool and what is known of its tenant. The resolver's mutex guards the second group of fields; the first
// is set once. The goroutine that newly evicted entries get (retire) is the only one that closes the pool.
type entry struct {
	r       *Resolver
	id      ID
	pool    *pgxpool.Pool
	guard   *guard
	sockets *sockets
	drained chan struct{}          // closed when the entry is evicted and without leases
	tenant  atomic.Pointer[Tenant] // written under the mutex, read without

	state      entryState
	leases     int
	cause      Cause         // why it was evicted
	evicted    time.Duration // when
	used       time.Duration // when its last lease came back
	confirmed  time.Duration // start of the last look-up that confirmed the record
	freshUntil time.Duration // until then it is leased without asking anybody
	doubted    time.Duration // when the server last refused what is known
}

const forever = time.Duration(math.MaxInt64)

// confirmLocked trusts t, which was looked up at the given time, for TTL. The coarse clock may be one tick behind, so
// that tick is taken off. Caller holds r.mu.
func (r *Resolver) confirmLocked(e *entry, t Tenant, at time.Duration) {
	e.tenant.Store(&t)
	e.confirmed = at
	e.freshUntil = forever
	if r.cfg.TTL >= 0 {
		e.freshUntil = at + r.cfg.TTL - r.tick
	}
}

// bridgeLocked trusts e's record a little longer because the directory does not answer, and reports whether StaleGrace
// allows that. Until the time is over nobody asks the directory again for e. Caller holds r.mu.
func (r *Resolver) bridgeLocked(e *entry) bool {
	now := r.now()
	end := e.confirmed + r.cfg.TTL + max(r.cfg.StaleGrace, 0)
	if r.cfg.TTL < 0 || now >= end {
		return false
	}
	e.freshUntil = min(now+staleRetry, end-r.tick) // the tick as above
	return true
}

// leaseLocked adds n leases to e. Caller holds r.mu.
func (r *Resolver) leaseLocked(e *entry, n int) {
	if n == 0 {
		return
	}
	if e.leases == 0 {
		r.unleased--
	}
	e.leases += n
	r.leases += n
}

func (r *Resolver) release(e *entry) {
	r.mu.Lock()
	r.releaseLocked(e)
	r.mu.Unlock()
}

// releaseLocked takes one lease back. The last one puts the entry at the young end of the recency list, so that the
// entries without leases are in the order in which they fell idle. Caller holds r.mu.
func (r *Resolver) releaseLocked(e *entry) {
	r.leases--
	if e.leases--; e.leases > 0 {
		return
	}
	switch e.state {
	case active:
		r.unleased++
		e.used = r.clock()
		r.entries.Get(e.id)
		r.makeRoomLocked()
	case draining:
		r.drainedLocked(e)
	}
}

// evictLocked takes e, which is active, out of service and gives it to a goroutine that closes it. Caller holds r.mu.
func (r *Resolver) evictLocked(e *entry, cause Cause) {
	r.entries.Remove(e.id)
	e.state, e.cause, e.evicted = draining, cause, r.now()
	r.retiring[e] = struct{}{}
	r.count.evicted[cause]++
	if e.leases == 0 {
		r.unleased--
		r.drainedLocked(e)
	}
	r.wg.Add(1)
	go r.retire(e)
}

func (r *Resolver) drainedLocked(e *entry) {
	r.slots.coming++
	close(e.drained)
}

// retire closes e's pool when its last lease is back, or when its sockets are cut. A pool whose last lease is back may
// still wait for a connection that its holder kept: the cut ends that too.
func (r *Resolver) retire(e *entry) {
	defer r.wg.Done()
	if r.cfg.DrainTimeout >= 0 {
		defer time.AfterFunc(r.cfg.DrainTimeout, e.sockets.cut).Stop()
	}
	r.cfg.Observer.evicted(e.id, e.cause)
	select {
	case <-e.drained:
	case <-e.sockets.isCut:
	}
	e.pool.Close()

	r.mu.Lock()
	if e.leases == 0 {
		r.slots.coming--
	}
	e.state = closed
	delete(r.retiring, e)
	r.leaveBulkheadLocked(e.guard.bulkhead)
	r.slots.give()
	took := r.now() - e.evicted
	r.mu.Unlock()
	r.cfg.Observer.closed(e.id, e.cause, took)
}
