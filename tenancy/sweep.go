package tenancy

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// sweep is the resolver's one permanent goroutine. It moves the coarse clock, evicts idle pools, and closes pools that
// have no connections.
func (r *Resolver) sweep() {
	defer r.wg.Done()
	ticker := time.NewTicker(r.tick)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			r.coarse.Store(int64(r.now()))
			r.evictIdle()
			r.closeEmptyPools()
			r.log.flush()
		case <-r.ctx.Done():
			return
		}
	}
}

// evictIdle evicts the pools that have had no lease for IdleTimeout. They are at the old end of the recency list, in
// order, so the first pool that has not been idle long enough ends the walk.
func (r *Resolver) evictIdle() {
	if r.cfg.IdleTimeout < 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.unleased > 0 {
		e := r.oldestUnleasedLocked()
		if r.clock()-e.used < r.cfg.IdleTimeout {
			return
		}
		r.evictLocked(e, CauseIdle, ErrEvicted)
	}
}

// wake gives e, on which the caller has a lease, a pool if it sleeps. It returns false if e was evicted before it had
// one; then, and after an error, it has released the lease. ctx bounds the wait.
func (r *Resolver) wake(ctx context.Context, e *entry) (bool, error) {
	for {
		r.mu.Lock()
		switch {
		case e.pool != nil:
			r.mu.Unlock()
			return true, nil
		case e.state != active:
			r.releaseLocked(e)
			r.mu.Unlock()
			return false, nil
		case e.waking == nil:
			r.beginWakingLocked(e)
		}
		w := e.waking
		r.mu.Unlock()
		select {
		case <-e.done: // evicted meanwhile
		case <-w.done:
			if w.err != nil && !e.over() {
				r.release(e)
				return false, w.err
			}
		case <-ctx.Done():
			r.release(e)
			return false, fmt.Errorf("tenancy: acquire tenant %q: %w", e.id, ctx.Err())
		}
	}
}

// waking is the making of a pool for an entry that sleeps. Its goroutine belongs to the resolver, as that of an
// opening, and for the same reason.
type waking struct {
	done chan struct{}
	err  error // may be read when done is closed
}

// beginWakingLocked starts to wake e. The lease that it takes keeps e's slot until the new pool is published or closed.
// Caller holds r.mu, and e is active.
func (r *Resolver) beginWakingLocked(e *entry) {
	e.waking = &waking{done: make(chan struct{}), err: fmt.Errorf("%w: tenant %q", errExited, e.id)}
	r.leaseLocked(e, 1)
	r.wg.Add(1)
	go r.reopen(e, e.waking)
}

// reopen makes a pool for e, unless e is evicted meanwhile. It always closes w.done.
func (r *Resolver) reopen(e *entry, w *waking) {
	defer r.wg.Done()
	published := false
	defer func() {
		r.mu.Lock()
		e.waking = nil
		if !published {
			r.releaseLocked(e)
		}
		r.mu.Unlock()
		close(w.done)
	}()
	known := e.tenant.Load()
	o, err := r.newAttachedPool(*known, e.weight)
	if err != nil {
		w.err = fmt.Errorf("tenancy: open pool for tenant %q: %w", e.id, err)
		return
	}
	w.err = nil
	r.mu.Lock()
	newer := e.tenant.Load() // Config.Attach may take long
	unwanted := e.state != active
	if !unwanted {
		published, e.pool = true, o
		o.guard.setTenant(newer)
		r.asleep--
		r.count.woken++
		r.releaseLocked(e)
	}
	r.attachedLocked(o)
	r.mu.Unlock()
	switch {
	case unwanted:
		r.closePool(o)
	case newer != known: // and there was no pool to renew
		o.renew()
	}
}

// closeEmptyPools closes the pools that have had no lease for a tick and have no connection, so that their entries
// sleep: with thousands of tenants those are nearly all, and each takes a goroutine and several KB. The tenant's record
// stays.
func (r *Resolver) closeEmptyPools() {
	var sleepers []*tenantPool
	r.mu.Lock()
	r.sleepCandidates = slices.DeleteFunc(r.sleepCandidates, func(e *entry) bool {
		switch {
		case e.state != active || e.pool == nil || e.leases > 0:
		case r.clock()-e.used < r.tick || !e.pool.unused():
			return false
		default:
			sleepers = append(sleepers, e.pool)
			e.pool = nil
			r.asleep++
		}
		e.sleepCandidate = false
		return true
	})
	r.mu.Unlock()
	if len(sleepers) == 0 {
		return
	}
	r.wg.Go(func() {
		for _, o := range sleepers {
			if o.detach != nil { // it may take long
				r.wg.Go(func() { r.closePool(o) })
				continue
			}
			o.pgxPool.Close()
		}
	})
}
