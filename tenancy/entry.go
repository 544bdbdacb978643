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

// entry is one tenant's pool and record. The resolver's mutex guards the second group of fields. The first group
// never changes, except tenant (atomic) and doneErr (written before done is closed).
// A pool is closed in one of four places: drain, after its entry was evicted; closeEmptyPools, when the entry goes to
// sleep; reopen, when the entry was evicted before the new pool was published; newAttachedPool, when Config.Attach
// failed.
type entry struct {
	r       *Resolver
	id      ID
	weight  int
	tenant  atomic.Pointer[Tenant] // written under the mutex, read without
	done    chan struct{}          // closed when the entry is evicted
	doneErr error                  // set before done is closed: what Lease.Err returns then

	pool           *tenantPool   // nil: the entry sleeps. A lease on an entry with a pool may read it unlocked
	waking         *waking       // not nil: a goroutine makes a pool
	sleepCandidate bool          // it is in Resolver.sleepCandidates
	drained        chan struct{} // made when it is evicted, closed when it is without leases
	state          entryState
	leases         int
	cause          Cause         // why it was evicted
	evicted        time.Duration // when
	used           time.Duration // when its last lease came back
	confirmed      time.Duration // start of the last look-up that confirmed the record
	freshUntil     time.Duration // until then it is leased without asking the directory
	doubted        time.Duration // when the server last refused the record

	// announced says that the tenant changed since the last look-up began: it is not leased before another look-up has
	// returned the same target. mustRenew says that the change need not show in the record.
	announced, mustRenew bool
}

const forever = time.Duration(math.MaxInt64)

// newEntry returns the entry of t, which is not published yet.
func (r *Resolver) newEntry(o *tenantPool, t Tenant, weight int) *entry {
	e := &entry{r: r, id: t.ID, weight: weight, pool: o, done: make(chan struct{})}
	e.tenant.Store(&t)
	return e
}

// over reports whether e was evicted.
func (e *entry) over() bool {
	select {
	case <-e.done:
		return true
	default:
		return false
	}
}

// confirmLocked trusts t, which was looked up at the given time and has e's target, for TTL. The coarse clock may be
// one tick behind, so that tick is subtracted. It returns the pool if its connections must be renewed, else nil: after
// a change that the record does not show, what they cached about the schema may be out of date. A new password is no
// such change: connections that were made with the old one stay good. Caller holds r.mu.
func (r *Resolver) confirmLocked(e *entry, t Tenant, at time.Duration) (stale *tenantPool) {
	was := e.tenant.Swap(&t)
	if e.pool != nil {
		e.pool.guard.setTenant(&t)
		if e.mustRenew || t.Epoch != was.Epoch && t.Endpoint == was.Endpoint {
			stale = e.pool
		}
	}
	e.announced, e.mustRenew = false, false
	e.confirmed = at
	e.freshUntil = forever
	if r.cfg.TTL >= 0 {
		e.freshUntil = at + r.cfg.TTL - r.tick
	}
	return stale
}

// announceLocked notes that e's tenant has the given epoch now. Caller holds r.mu.
func (e *entry) announceLocked(epoch int64) {
	e.announced, e.mustRenew, e.freshUntil = true, e.mustRenew || epoch == 0, 0
}

// extendStaleLocked trusts e's record for another staleRetryInterval because the directory does not answer, and reports
// whether StaleGrace allows that. For that time the directory is not asked for e. Caller holds r.mu.
func (r *Resolver) extendStaleLocked(e *entry) bool {
	now := r.now()
	end := e.confirmed + r.cfg.TTL + max(r.cfg.StaleGrace, 0)
	if r.cfg.TTL < 0 || now >= end || e.announced {
		return false
	}
	e.freshUntil = min(now+staleRetryInterval, end-r.tick) // the tick as above
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
		if !e.sleepCandidate && e.pool != nil {
			e.sleepCandidate = true
			r.sleepCandidates = append(r.sleepCandidates, e)
		}
		r.evictForWaitersLocked()
	case draining:
		r.drainedLocked(e)
	case closed: // it was cut, and its slot given back, under this lease
		close(e.drained)
	}
}

// evictLocked takes e, which is active, out of service and starts the goroutine that closes it. Its leases' Err returns
// why. Caller holds r.mu.
func (r *Resolver) evictLocked(e *entry, cause Cause, why error) {
	r.entries.Remove(e.id)
	e.doneErr = why
	close(e.done)
	e.state, e.cause, e.evicted, e.drained = draining, cause, r.now(), make(chan struct{})
	if e.pool == nil {
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
	r.slots.closing++
	close(e.drained)
}

// evictForWaitersLocked evicts the pools that have been without a lease longest, one for each waiter to which no
// closing pool will give its slot. It must be called whenever an opening begins to wait, and whenever a pool loses its
// last lease. Caller holds r.mu.
func (r *Resolver) evictForWaitersLocked() {
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

// retire closes e's pool when its last lease is released.
func (r *Resolver) retire(e *entry) {
	defer r.wg.Done()
	r.cfg.Observer.evicted(e.id, e.cause)
	if e.pool == nil { // an Acquire may hold a lease for the moment in which it finds out
		<-e.drained
	} else {
		r.drain(e)
	}
	r.mu.Lock()
	if e.leases == 0 {
		r.slots.closing--
	}
	e.state = closed
	delete(r.retiring, e)
	r.slots.give()
	took := r.now() - e.evicted
	r.mu.Unlock()
	r.cfg.Observer.closed(e.id, e.cause, took)
}

// drain closes the pool of e when its last lease is released, or when its sockets are cut. After the last release,
// Close may still wait for a connection that its holder kept: the cut ends that too. What is attached to the pool
// outlives every lease, even after a cut.
func (r *Resolver) drain(e *entry) {
	o := e.pool
	if r.cfg.DrainTimeout >= 0 {
		defer time.AfterFunc(r.cfg.DrainTimeout, func() {
			o.sockets.cut()
			r.log.wasCut(e.id)
		}).Stop()
	}
	select {
	case <-e.drained:
		r.detach(o)
		o.pgxPool.Close()
	case <-o.sockets.isCut:
		o.pgxPool.Close()
		if o.detach != nil {
			r.wg.Go(func() {
				<-e.drained
				r.detach(o)
			})
		}
	}
}
