package tenancy

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// closeTimeout bounds how long it takes to say goodbye to PostgreSQL on a connection, and to see it go.
const closeTimeout = time.Second

// victimTries is how often another victim is looked for if one is in use again before it could be closed.
const victimTries = 4

// stealing marks the context of steal, which must not run the hooks that prepare a connection for use.
type stealing struct{}

// makeRoom closes one idle connection for w, unless w has been served or a connection that is closing serves it. It
// returns false if there was nothing to close.
func (s *server) makeRoom(w *waiter) bool {
	for range victimTries {
		s.mu.Lock()
		select {
		case <-w.granted:
			s.mu.Unlock()
			return true
		default:
		}
		if !s.shortLocked() {
			s.mu.Unlock()
			return true
		}
		victim := s.victimLocked(w)
		if victim == nil {
			s.mu.Unlock()
			return false
		}
		s.coming++
		s.mu.Unlock()
		if s.steal(victim) {
			return true
		}
	}
	return false
}

// shrink closes idle connections until the server is within its budget, or none is idle.
func (s *server) shrink() {
	for {
		s.mu.Lock()
		if s.held-s.coming <= s.limit {
			s.mu.Unlock()
			return
		}
		victim := s.sieve.next((*account).idle)
		if victim == nil {
			s.mu.Unlock()
			return
		}
		s.coming++
		s.mu.Unlock()
		s.steal(victim)
	}
}

// victimLocked returns an account with an idle connection that can be closed for w, or nil. A tenant beyond its share
// gets none of those that others use within theirs, unless it is overdue; and a tenant loses its own only if it has
// waited and nobody else has one. Caller holds s.mu.
func (s *server) victimLocked(w *waiter) *account {
	now := time.Now()
	entitled := s.entitledLocked(w, now)
	victim := s.sieve.next(func(a *account) bool {
		return a != w.account && (entitled || !a.safeLocked(now)) && a.idle()
	})
	if victim == nil && now.Sub(w.since) > turnTime && w.account.idle() {
		return w.account
	}
	return victim
}

// steal closes one idle connection of a: the one that was idle longest. The others are put back in the order in which
// they were. It returns false if none is idle any more. Caller has added to s.coming, and holds no lock.
func (s *server) steal(a *account) bool {
	conns := a.pool.AcquireAllIdle(context.WithValue(context.Background(), stealing{}, true))
	closing := len(conns) - 1
	for i := closing - 1; i >= 0; i-- {
		a.lent.Add(1)
		conns[i].Release()
	}
	if closing >= 0 {
		hangUp(conns[closing])
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.coming--
	if closing >= 0 {
		s.count.steals++
	}
	return closing >= 0
}

// hangUp closes a connection and gives it back, for the pool to throw away.
func hangUp(c *pgxpool.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_ = c.Conn().Close(ctx)
	c.Release()
}
