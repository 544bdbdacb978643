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
// one; then, and after an error, it has released the lease. ctx bounds the wait for another caller that wakes e.
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
			done := make(chan struct{})
			e.waking = done
			r.mu.Unlock()
			if err := r.reopen(e, done); err != nil {
				r.release(e)
				return false, err
			}
			continue
		}
		others := e.waking
		r.mu.Unlock()
		select {
		case <-others:
		case <-ctx.Done():
			r.release(e)
			return false, fmt.Errorf("tenancy: acquire tenant %q: %w", e.id, ctx.Err())
		}
	}
}

// reopen makes a pool for e, unless e is evicted meanwhile. It always closes done, for the other callers of wake.
func (r *Resolver) reopen(e *entry, done chan struct{}) error {
	defer func() {
		r.mu.Lock()
		e.waking = nil
		r.mu.Unlock()
		close(done)
	}()
	o, err := r.newPool(*e.tenant.Load(), e.weight)
	if err != nil {
		return fmt.Errorf("tenancy: open pool for tenant %q: %w", e.id, err)
	}
	r.mu.Lock()
	unwanted := e.state != active
	if !unwanted {
		e.pool = o
		o.guard.setTenant(e.tenant.Load()) // it may be newer than what the pool was made from
		r.asleep--
		r.count.woken++
	}
	r.mu.Unlock()
	if unwanted {
		o.close()
	}
	return nil
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
			o.close()
		}
	})
}
