package tenancy

import (
	"context"
	"fmt"
	"time"
)

// roomPause is how often one who waits for a permit looks for connections that fell idle since.
const roomPause = 5 * time.Millisecond

// take gets a's pool a permit to dial, waiting for it up to wait. It stops waiting when ctx ends, or user, the context of
// the one who acquires the connection: a dial that nobody waits for must not take a connection from somebody else.
func (a *account) take(ctx, user context.Context, wait time.Duration) error {
	s := a.server
	w := s.enqueue(a, wait)
	if w == nil {
		return nil
	}
	room := s.makeRoom(w)
	if wait < 0 && !room {
		return s.refuse(w)
	}
	if wait < 0 {
		wait = defaultBudgetWait // not for a connection in use, only for an idle one to close
	}
	full := time.NewTimer(wait)
	defer full.Stop()
	again := time.NewTicker(roomPause)
	defer again.Stop()
	for {
		select {
		case <-w.granted:
			return nil
		case <-ctx.Done():
			return s.abandon(w, ctx)
		case <-user.Done():
			return s.abandon(w, user)
		case <-full.C:
			return s.refuse(w)
		case <-w.look:
			s.makeRoom(w)
		case <-again.C:
			s.makeRoom(w)
		}
	}
}

// abandon ends w's wait because ctx ended. A permit that was granted in the same instant goes on to the next. The error
// matches ErrAtCapacity too, so that nobody blames the server.
func (s *server) abandon(w *waiter, ctx context.Context) error {
	if !s.leave(w) {
		s.mu.Lock()
		s.releaseLocked(w.account)
		s.dialledLocked()
		s.mu.Unlock()
	}
	return fmt.Errorf("%w: no connection to server %q came free: %w", ErrAtCapacity, s.name, ctx.Err())
}

// refuse ends w's wait because it took too long. A permit that was granted in the same instant is used.
func (s *server) refuse(w *waiter) error {
	if !s.leave(w) {
		return nil
	}
	s.mu.Lock()
	s.count.refused++
	s.mu.Unlock()
	return fmt.Errorf("%w: no connection to server %q came free", ErrAtCapacity, s.name)
}
