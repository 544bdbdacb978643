package tenancy

import (
	"slices"
)

// slots counts the pools that exist or are about to, against MaxPools. Openings that find no free slot wait in FIFO
// order. The resolver's mutex guards it.
type slots struct {
	limit   int
	taken   int             // pools that are open, being opened, draining or closing: never more than limit
	closing int             // pools without leases that are being closed: their slots come free soon
	queue   []chan struct{} // one channel for each waiter, closed when it is given a slot
}

// take takes a slot if one is free. It overtakes no waiter: while one waits, give leaves no slot free.
func (s *slots) take() bool {
	if s.taken >= s.limit {
		return false
	}
	s.taken++
	return true
}

// wait adds a waiter to the queue.
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

// give passes a slot on to the first waiter, or frees it.
func (s *slots) give() {
	if len(s.queue) == 0 {
		s.taken--
		return
	}
	close(s.queue[0])
	s.queue = slices.Delete(s.queue, 0, 1)
}

// short reports whether there are more waiters than slots about to become free.
func (s *slots) short() bool { return len(s.queue) > s.closing }
