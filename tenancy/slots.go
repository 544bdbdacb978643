package tenancy

import (
	"fmt"
	"slices"
	"time"
)

// slots counts the pools that exist or are about to, against MaxPools. Those who find none free wait in FIFO order. The
// resolver's mutex guards it.
type slots struct {
	limit  int
	taken  int             // pools that are open, being opened, draining or closing: never more than limit
	coming int             // pools without leases that are being closed: their slots come free soon
	queue  []chan struct{} // one channel for each who waits, closed when it is given a slot
}

// take takes a free slot. It overtakes nobody: while somebody waits, give leaves no slot free.
func (s *slots) take() bool {
	if s.taken >= s.limit {
		return false
	}
	s.taken++
	return true
}

func (s *slots) wait() chan struct{} {
	given := make(chan struct{})
	s.queue = append(s.queue, given)
	return given
}

// leave takes a waiter out of the queue. It returns false if the waiter was given a slot already, and so has one.
func (s *slots) leave(given chan struct{}) bool {
	i := slices.Index(s.queue, given)
	if i < 0 {
		return false
	}
	s.queue = slices.Delete(s.queue, i, i+1)
	return true
}

// give passes a slot on to whoever has waited longest, or sets it free.
func (s *slots) give() {
	if len(s.queue) == 0 {
		s.taken--
		return
	}
	close(s.queue[0])
	s.queue = slices.Delete(s.queue, 0, 1)
}

// short reports whether more wait than will soon be given a slot.
func (s *slots) short() bool { return len(s.queue) > s.coming }

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

// takeSlot gets o a slot, waiting up to CapacityWait. It returns an error if there is none, or if o is finished.
func (r *Resolver) takeSlot(o *opening) error {
	full := fmt.Errorf("%w: open pool for tenant %q", ErrAtCapacity, o.id)
	r.mu.Lock()
	if o.finished || r.slots.take() {
		defer r.mu.Unlock()
		return o.err
	}
	if o.waiters == 0 { // nobody to evict another tenant for; who comes now begins anew
		defer r.mu.Unlock()
		r.finishLocked(o, nil, full)
		return full
	}
	given := r.slots.wait()
	o.queued = true
	r.makeRoomLocked()
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
