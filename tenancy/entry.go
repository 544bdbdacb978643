package tenancy

import (
	"math"
	"sync/atomic"
	"time"
)

type entryState uint8

const (
	active   entryState = iota // in Resolver.entries: may be leased
	draining                   // evicted: its leases run out
	closed
)

// entry is one tenant's pool and what is known of the tenant. The resolver's mutex guards the second group of fields;
// the first is set once. Two close a pool: retire, in the goroutine that an evicted entry gets, and rest, where the
// pool has had no lease for a tick and has no connection.
type entry struct {
	r      *Resolver
	id     ID
	weight int
	tenant atomic.Pointer[Tenant] // written under the mutex, read without
	over   chan struct{}          // closed when it is evicted
	why    error                  // set before over is closed: what its leases say then

	opened     *opened       // nil: the entry sleeps. Who has a lease, and has seen one, may read it without the mutex
	waking     chan struct{} // not nil: somebody makes a pool; closed then
	resting    bool          // it is in Resolver.resting
	drained    chan struct{} // made when it is evicted, closed when it is then without leases
	state      entryState
	leases     int
	cause      Cause         // why it was evicted
	evicted    time.Duration // when
	used       time.Duration // when its last lease came back
	confirmed  time.Duration // start of the last look-up that confirmed the record
	freshUntil time.Duration // until then it is leased without asking anybody
	doubted    time.Duration // when the server last refused what is known

	// announced says that the tenant changed since the last look-up began: it is not leased before another has said that
	// its target is the same. anew says that the change need not show in the record.
	announced, anew bool
}

const forever = time.Duration(math.MaxInt64)

// newEntry returns the entry of t, which was looked up at the given time.
func (r *Resolver) newEntry(o *opened, t Tenant, weight int) *entry {
	e := &entry{r: r, id: t.ID, weight: weight, opened: o, over: make(chan struct{})}
	e.tenant.Store(&t)
	return e
}

// confirmLocked trusts t, which was looked up at the given time and has e's target, for TTL. The coarse clock may be
// one tick behind, so that tick is taken off. It returns the pool whose connections are to be made anew, or nil: there
// was a change that the record does not show, so that they may remember what is no longer so. A new password is none:
// the connections that were made with the old one stay good. Caller holds r.mu.
func (r *Resolver) confirmLocked(e *entry, t Tenant, at time.Duration) (stale *opened) {
	was := e.tenant.Swap(&t)
	if e.opened != nil {
		e.opened.guard.adopt(&t)
		if e.anew || t.Epoch != was.Epoch && t.Endpoint == was.Endpoint {
			stale = e.opened
		}
	}
	e.announced, e.anew = false, false
	e.confirmed = at
	e.freshUntil = forever
	if r.cfg.TTL >= 0 {
		e.freshUntil = at + r.cfg.TTL - r.tick
	}
	return stale
}

// announceLocked notes that e's tenant has the given epoch now. Caller holds r.mu.
func (e *entry) announceLocked(epoch int64) {
	e.announced, e.anew, e.freshUntil = true, e.anew || epoch == 0, 0
}

// bridgeLocked trusts e's record a little longer because the directory does not answer, and reports whether StaleGrace
// allows that. Until the time is over nobody asks the directory again for e. Caller holds r.mu.
func (r *Resolver) bridgeLocked(e *entry) bool {
	now := r.now()
	end := e.confirmed + r.cfg.TTL + max(r.cfg.StaleGrace, 0)
	if r.cfg.TTL < 0 || now >= end || e.announced {
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
		if !e.resting && e.opened != nil {
			e.resting = true
			r.resting = append(r.resting, e)
		}
		r.makeRoomLocked()
	case draining:
		r.drainedLocked(e)
	}
}

// evictLocked takes e, which is active, out of service and gives it to a goroutine that closes it. Its leases say why.
// Caller holds r.mu.
func (r *Resolver) evictLocked(e *entry, cause Cause, why error) {
	r.entries.Remove(e.id)
	e.why = why
	close(e.over)
	e.state, e.cause, e.evicted, e.drained = draining, cause, r.now(), make(chan struct{})
	if e.opened == nil {
		r.asleep--
	}
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

// makeRoomLocked evicts the pools that have been without a lease longest, one for each waiter that no closing pool
// makes room for. It must be called whenever somebody begins to wait, and whenever a pool loses its last lease. Caller
// holds r.mu.
func (r *Resolver) makeRoomLocked() {
	for r.slots.short() && r.unleased > 0 {
		r.evictLocked(r.oldestUnleasedLocked(), CauseCapacity, ErrEvicted)
	}
}

// oldestUnleasedLocked returns the least recently used entry without leases; there must be one. A leased entry that it
// meets is in use at this moment, and moves to the young end where it belongs. Caller holds r.mu.
func (r *Resolver) oldestUnleasedLocked() *entry {
	for {
		id, e, _ := r.entries.GetOldest()
		if e.leases == 0 {
			return e
		}
		r.entries.Get(id)
	}
}

// retire closes e's pool when its last lease is back.
func (r *Resolver) retire(e *entry) {
	defer r.wg.Done()
	r.cfg.Observer.evicted(e.id, e.cause)
	if e.opened == nil { // a lease is held, if at all, for the moment in which its holder learns that
		<-e.drained
	} else {
		r.drain(e)
	}
	r.mu.Lock()
	if e.leases == 0 {
		r.slots.coming--
	}
	e.state = closed
	delete(r.retiring, e)
	r.slots.give()
	took := r.now() - e.evicted
	r.mu.Unlock()
	r.cfg.Observer.closed(e.id, e.cause, took)
}

// drain closes the pool of e when its last lease is back, or when its sockets are cut. A pool whose last lease is back
// may still wait for a connection that its holder kept: the cut ends that too.
func (r *Resolver) drain(e *entry) {
	o := e.opened
	if r.cfg.DrainTimeout >= 0 {
		defer time.AfterFunc(r.cfg.DrainTimeout, o.sockets.cut).Stop()
	}
	select {
	case <-e.drained:
	case <-o.sockets.isCut:
	}
	o.pool.Close()
}
