package tenancy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
)

const (
	// maxLookups bounds how often a look-up is repeated because the tenant changed meanwhile, or because the directory (a
	// replica, perhaps) is behind the announced epoch.
	maxLookups = 4

	// lookupPause is the wait before the first repetition; each further one waits twice as long.
	lookupPause = 10 * time.Millisecond

	// staleLookupWait is how long an Acquire waits for the directory if it could use a record past its TTL instead, and
	// staleRetryInterval how long the directory is then not asked again for that tenant.
	staleLookupWait    = 250 * time.Millisecond
	staleRetryInterval = 5 * time.Second
)

var (
	errChanging    = errors.New("its record keeps changing or is older than an announced change")
	errExited      = errors.New("tenancy: the directory or Config.Attach ended its goroutine")
	errOtherTenant = errors.New("the directory answered for another tenant")
)

// opening is one look-up in flight, and the opening of a pool that may follow. There is at most one per ID. The
// resolver's mutex guards it, except that entry and err may be read once done is closed.
type opening struct {
	id         ID
	waiters    int  // Acquires that wait for done
	queued     bool // it waits for a slot
	background bool // no Acquire waits or has waited for it: Invalidate began it

	// What Invalidate announced: minEpoch for good, the other two since the last look-up began.
	minEpoch int64
	changed  bool // there was an announcement
	all      bool // every earlier record is out of date, at any epoch

	finished bool
	done     chan struct{} // closed when finished
	entry    *entry        // leased once for each waiter
	err      error
}

// record is what a look-up returned.
type record struct {
	tenant Tenant
	err    error
	at     time.Duration // when the look-up began
}

func (o *opening) invalidate(epoch int64) {
	o.changed = true
	o.all = o.all || epoch == 0
	o.minEpoch = max(o.minEpoch, epoch)
}

// outdated reports whether rec is older than an announced change.
func (o *opening) outdated(rec record) bool {
	if rec.err != nil {
		return o.changed
	}
	return o.all || rec.tenant.Epoch < o.minEpoch
}

// joinLocked returns id's opening, started if need be, with one waiter more. Caller holds r.mu; r is not closed.
func (r *Resolver) joinLocked(id ID) *opening {
	o, ok := r.openings[id]
	if !ok {
		o = r.beginLocked(id)
	}
	o.background = false
	o.waiters++
	return o
}

// beginLocked starts id's opening. Caller holds r.mu; r is not closed, and there is no opening of id.
func (r *Resolver) beginLocked(id ID) *opening {
	id = ID(strings.Clone(string(id))) // kept as a key, by entries and notFound too; the caller may reuse its bytes
	o := &opening{id: id, background: true, done: make(chan struct{})}
	r.openings[id] = o
	r.wg.Add(1)
	go r.run(o)
	return o
}

// run looks o's tenant up and opens a pool if needed. It belongs to the resolver, not to the Acquire that started it: a
// client that disconnects must not fail the other waiters.
func (r *Resolver) run(o *opening) {
	defer r.wg.Done()
	defer func() { r.fail(o, fmt.Errorf("%w: tenant %q", errExited, o.id)) }() // does nothing if o is finished
	slot := false                                                              // taken, and not yet a pool's
	defer func() {
		if slot {
			r.giveSlot()
		}
	}()
	for n := range maxLookups {
		if n > 0 && !o.pause(lookupPause<<(n-1)) {
			return
		}
		rec := r.lookUp(r.ctx, o, r.cfg.OpenTimeout)
		switch r.judge(o, rec) {
		case finished:
			return
		case unknown:
			r.finishStale(o, rec.err)
			return
		case needsPool:
			if !slot {
				if err := r.takeSlot(o); err != nil {
					r.fail(o, err)
					return
				}
				slot = true
				if r.changed(o, rec) {
					continue // during the wait for the slot: ask again, and do not wait for another one
				}
			}
			slot = false
			if r.openPool(o, rec) {
				return
			}
		}
	}
	r.finishStale(o, errChanging)
}

func (r *Resolver) changed(o *opening, rec record) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return o.outdated(rec)
}

// pause returns false if o is finished before d is over.
func (o *opening) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-o.done:
		return false
	}
}

// lookUp asks the directory, for at most patience. A panic of the directory becomes an error.
func (r *Resolver) lookUp(ctx context.Context, o *opening, patience time.Duration) (rec record) {
	r.mu.Lock()
	o.changed, o.all = false, false
	r.count.lookups++
	rec.at = r.now()
	r.mu.Unlock()

	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	defer func() {
		took := r.now() - rec.at
		r.waits.lookup.Observe(took)
		switch {
		case errors.Is(rec.err, ErrNotFound):
			r.log.lookedUp(nil)
		case r.ctx.Err() == nil:
			r.log.lookedUp(rec.err)
		}
		r.cfg.Observer.lookedUp(o.id, took, rec.err)
	}()
	defer func() {
		if v := recover(); v != nil {
			rec.err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	rec.tenant, rec.err = r.cfg.Directory.Lookup(ctx, o.id)
	rec.tenant = rec.tenant.clone()
	if rec.err == nil && cmp.Or(rec.tenant.ID, o.id) != o.id {
		rec.err = errOtherTenant
	}
	rec.tenant.ID = o.id
	return rec
}

type verdict int

const (
	finished  verdict = iota // the opening is finished
	retry                    // the record is out of date: ask again
	unknown                  // the directory has no answer
	needsPool                // the tenant needs a new pool
)

// judge applies the result of a look-up to o and to the tenant's entry, if there is one.
func (r *Resolver) judge(o *opening, rec record) verdict {
	var stale *tenantPool
	defer func() { stale.renew() }() // without the lock
	r.mu.Lock()
	defer r.mu.Unlock()
	if o.finished {
		return finished
	}
	if o.outdated(rec) {
		return retry
	}
	e, known := r.entries.Peek(o.id)
	switch {
	case errors.Is(rec.err, ErrNotFound):
		r.notFound.add(o.id, r.now())
		r.refuseLocked(o, e, notFoundError(o.id))
	case rec.err != nil:
		return unknown
	case known && rec.tenant.Epoch < e.tenant.Load().Epoch && !e.mustRenew:
		return retry // older than the directory's own last answer
	case rec.tenant.State != Active:
		r.refuseLocked(o, e, &StateError{ID: o.id, State: rec.tenant.State})
	case known && rec.tenant.sameTarget(e.tenant.Load()):
		stale = r.confirmLocked(e, rec.tenant, rec.at)
		r.finishLocked(o, e, nil)
	default:
		if known {
			r.evictLocked(e, CauseChanged, evictedError(o.id))
		}
		if !o.background {
			return needsPool
		}
		r.finishLocked(o, nil, nil)
	}
	return finished
}

// refuseLocked finishes o for a tenant that must not be leased. Caller holds r.mu.
func (r *Resolver) refuseLocked(o *opening, e *entry, err error) {
	if e != nil {
		r.evictLocked(e, CauseChanged, err)
	}
	r.finishLocked(o, nil, err)
}

// takeSlot takes a slot for o, waiting up to CapacityWait. It returns an error if there is none, or if o is finished.
func (r *Resolver) takeSlot(o *opening) error {
	full := fmt.Errorf("%w: open pool for tenant %q", ErrAtCapacity, o.id)
	r.mu.Lock()
	if o.finished || r.slots.take() {
		defer r.mu.Unlock()
		return o.err
	}
	if o.waiters == 0 { // no tenant is evicted for it; the next Acquire begins again
		defer r.mu.Unlock()
		r.finishLocked(o, nil, full)
		return full
	}
	given := r.slots.wait()
	o.queued = true
	r.evictForWaitersLocked()
	wait := r.cfg.CapacityWait
	if wait < 0 && !r.slots.short() {
		wait = defaultCapacityWait // not for a lease to end, only for an idle pool to close
	}
	r.mu.Unlock()

	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-given:
	case <-timer.C:
	case <-o.done:
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	o.queued = false
	switch left := r.slots.leave(given); {
	case left:
		return full
	case o.finished:
		r.slots.give()
		return o.err
	}
	return nil
}

func (r *Resolver) giveSlot() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.slots.give()
}

// openPool makes the pool and publishes it: from then on it can be leased. It returns false if the tenant changed in
// the meantime. A pool that must not be published is evicted and closed like any other.
func (r *Resolver) openPool(o *opening, rec record) bool {
	weight := max(1, r.cfg.Weight(o.id))
	made := false
	defer func() { // Config.Attach ended its goroutine
		if !made {
			r.giveSlot()
		}
	}()
	opened, err := r.newAttachedPool(rec.tenant, weight)
	made = true
	if err != nil {
		r.giveSlot()
		r.fail(o, fmt.Errorf("tenancy: open pool for tenant %q: %w", o.id, err))
		return true
	}
	e := r.newEntry(opened, rec.tenant, weight)
	r.cfg.Observer.opened(o.id)

	r.mu.Lock()
	defer r.mu.Unlock()
	r.attachedLocked(opened)
	r.confirmLocked(e, rec.tenant, rec.at)
	e.used = r.clock()
	r.entries.Add(o.id, e)
	r.unleased++
	r.count.opened++
	switch {
	case o.finished:
		r.evictLocked(e, CauseClosed, ErrClosed)
	case o.outdated(rec):
		r.evictLocked(e, CauseChanged, evictedError(o.id))
		return false
	default:
		r.finishLocked(o, e, nil)
		r.evictForWaitersLocked()
	}
	return true
}

// finishStale ends an opening whose look-up failed: with the tenant's entry, if StaleGrace allows it, else with err. An
// entry whose tenant is known to have changed is evicted.
func (r *Resolver) finishStale(o *opening, err error) {
	err = fmt.Errorf("tenancy: look up tenant %q: %w", o.id, pgerr.Redact(err))
	r.mu.Lock()
	e, known := r.entries.Peek(o.id)
	if o.finished || !known || !r.extendStaleLocked(e) {
		if known && !o.finished && e.announced {
			r.evictLocked(e, CauseChanged, evictedError(o.id))
		}
		r.mu.Unlock()
		r.fail(o, err)
		return
	}
	r.finishLocked(o, e, nil)
	r.count.stale++
	r.mu.Unlock()
	r.cfg.Observer.servedStale(o.id, err)
}

// fail finishes o with err, unless it is finished already.
func (r *Resolver) fail(o *opening, err error) {
	r.mu.Lock()
	if o.finished {
		r.mu.Unlock()
		return
	}
	r.finishLocked(o, nil, err)
	r.count.failed++
	r.mu.Unlock()
	r.cfg.Observer.openFailed(o.id, err)
}

// finishLocked ends o. It leases e once for each waiter before e can be evicted; a waiter that left in the same instant
// releases its lease. Caller holds r.mu.
func (r *Resolver) finishLocked(o *opening, e *entry, err error) {
	if r.openings[o.id] == o {
		delete(r.openings, o.id)
	}
	o.entry, o.err, o.finished = e, err, true
	if e != nil {
		r.leaseLocked(e, o.waiters)
	}
	close(o.done)
}
