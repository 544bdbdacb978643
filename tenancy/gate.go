package tenancy

import (
	"context"
	"runtime"
	"slices"
	"time"
)

// gate is where those who acquire a connection of one tenant wait while the server is full and the tenant has
// connections, but none idle. Its own next one is nearly always there sooner than another could be dialled, and somebody
// else's is kept: once pgxpool has begun to dial, the caller waits for that dial, whatever falls idle meanwhile.
type gate struct {
	queue []chan struct{} // guarded by server.mu; FIFO
}

// pass waits until a connection of a is free, or a new one should be dialled: the tenant lost those it had, the server
// has room, or the wait became too long. Too long is roomPause for a tenant that has less than its share, and half of
// wait for the others. It does not wait if the server has room.
func (a *account) pass(ctx context.Context, wait time.Duration) {
	s := a.server
	if !s.full.Load() {
		return
	}
	s.mu.Lock()
	if a.openLocked(time.Time{}, wait) {
		s.mu.Unlock()
		return
	}
	since, free := time.Now(), make(chan struct{})
	a.gate.queue = append(a.gate.queue, free)
	a.gated.Add(1)
	s.mu.Unlock()
	ticker := time.NewTicker(roomPause)
	defer ticker.Stop()
	for {
		select {
		case <-free:
			a.settle()
			return
		case <-ctx.Done():
		case <-ticker.C:
		}
		s.mu.Lock()
		i := slices.Index(a.gate.queue, free)
		if i > 0 && ctx.Err() == nil || i == 0 && ctx.Err() == nil && !a.openLocked(since, wait) {
			s.mu.Unlock()
			continue
		}
		if i >= 0 {
			a.gate.queue = slices.Delete(a.gate.queue, i, i+1)
			a.gated.Add(-1)
		}
		s.mu.Unlock()
		return
	}
}

// openLocked reports whether who has waited since then may go on to the pool; a newcomer if since is zero. Caller holds
// server.mu.
func (a *account) openLocked(since time.Time, wait time.Duration) bool {
	s := a.server
	newcomer := since.IsZero()
	switch {
	case newcomer && len(a.gate.queue) > 0:
		return false
	case a.held == 0 || s.held < s.limit && len(s.queue) == 0 || a.idle():
		return true
	case newcomer:
		return false
	}
	waited := time.Since(since)
	return waited >= roomPause && s.belowLocked(a) || waited >= max(wait/2, turnTime)
}

// admit lets the one who waits longest go on, because a connection is about to be free.
func (a *account) admit() {
	if a.gated.Load() == 0 {
		return
	}
	a.server.mu.Lock()
	defer a.server.mu.Unlock()
	if len(a.gate.queue) > 0 {
		close(a.gate.queue[0])
		a.gate.queue = slices.Delete(a.gate.queue, 0, 1)
		a.gated.Add(-1)
	}
}

// settle gives the one who releases a connection the moment it needs to put it into the pool.
func (a *account) settle() {
	for range 10 {
		if a.pool.Stat().IdleConns() > 0 {
			return
		}
		runtime.Gosched()
	}
}
