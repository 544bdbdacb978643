package tenancy

import "time"

// mustYield reports whether a connection that a's user gives back must be closed, so that its permit goes to another. The
// caller closes it, and calls yielded.
func (a *account) mustYield() bool {
	now := time.Now()
	if lent := a.lent.Load(); lent > 0 && a.lent.CompareAndSwap(lent, lent-1) {
		return false
	}
	a.touch(now)
	s := a.server
	if !s.pressed.Load() {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held-s.coming <= s.limit {
		w := s.uncoveredLocked()
		if w == nil || !s.owesLocked(a, w, now) {
			return false
		}
	}
	s.coming++
	s.count.yields++
	return true
}

func (a *account) yielded() {
	a.server.mu.Lock()
	defer a.server.mu.Unlock()
	a.server.coming--
}

// uncoveredLocked returns who waits longest of those that no connection that is closing serves. Caller holds s.mu.
func (s *server) uncoveredLocked() *waiter {
	if !s.shortLocked() {
		return nil
	}
	return s.queue[s.nextLocked(s.coming)]
}

// owesLocked reports whether a owes w a connection. A tenant beyond its share owes one to a tenant that has less than its
// own; a tenant within its share, only when it has had its turn: with more tenants than connections, everybody gets one
// in turn. Caller holds s.mu.
func (s *server) owesLocked(a *account, w *waiter, now time.Time) bool {
	waited := now.Sub(w.since)
	if w.account == a {
		if waited < turnTime || now.Sub(a.swapped) < swapPause {
			return false
		}
		a.swapped = now
		return true
	}
	if !s.entitledLocked(w, now) {
		return false
	}
	return a.held > s.shareLocked(a) || waited >= turnTime && now.Sub(a.turn) >= turnTime
}
