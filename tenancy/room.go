package tenancy

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// closeTimeout bounds how long it takes to say goodbye to PostgreSQL on a connection, and to see it go.
const closeTimeout = time.Second

// victimTries is how often another victim is looked for if one is in use again before it could be closed.
const victimTries = 4

// stealing marks the context of longestIdle, which must not run the hooks that prepare a connection for use.
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
		conn := victim.longestIdle()
		if s.discard(conn); conn != nil {
			return true
		}
	}
	return false
}

// shrink closes idle connections until the server is within its budget, or none is idle. Each is closed by a goroutine of
// wg's: a server that does not answer makes every one last a second.
func (s *server) shrink(wg *sync.WaitGroup) {
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
		conn := victim.longestIdle()
		wg.Go(func() { s.discard(conn) })
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

// longestIdle acquires the idle connection of a's that was idle longest, for it to be closed, or returns nil if none is
// idle any more. The others are put back in the order in which they were. Caller holds no lock.
func (a *account) longestIdle() *pgxpool.Conn {
	conns := a.pool.AcquireAllIdle(context.WithValue(context.Background(), stealing{}, true))
	if len(conns) == 0 {
		return nil
	}
	last := len(conns) - 1
	for i := last - 1; i >= 0; i-- {
		a.lent.Add(1)
		conns[i].Release()
	}
	return conns[last]
}

// discard closes a connection that longestIdle found, if it did, and gives it back, for the pool to throw away. Caller
// has added to s.coming, and holds no lock.
func (s *server) discard(conn *pgxpool.Conn) {
	if conn != nil {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		_ = conn.Conn().Close(ctx)
		conn.Release()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.coming--
	if conn != nil {
		s.count.steals++
	}
}
