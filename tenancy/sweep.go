package tenancy

import "time"

// sweep is the resolver's one permanent goroutine. It moves the coarse clock, evicts idle pools, and puts pools
// without connections to sleep.
func (r *Resolver) sweep() {
	defer r.wg.Done()
	ticker := time.NewTicker(r.tick)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			r.coarse.Store(int64(r.now()))
			r.evictIdle()
			r.rest()
		case <-r.ctx.Done():
			return
		}
	}
}

// evictIdle evicts the pools that have had no lease for IdleTimeout. They are at the old end of the recency list, in
// order, so that the first one that is not idle for long enough ends the walk.
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
