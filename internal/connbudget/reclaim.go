package connbudget

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// CloseTimeout bounds how long it takes to say goodbye to PostgreSQL on a connection, and to see it go.
const CloseTimeout = time.Second

// reclaimTries is how often another account is tried if an idle connection is in use again before it could be closed.
const reclaimTries = 4

// reclaimKey marks the context of longestIdle.
type reclaimKey struct{}

// IsReclaim reports whether a connection is acquired with ctx in order to be closed: hooks that prepare it for use must
// not run.
func IsReclaim(ctx context.Context) bool { return ctx.Value(reclaimKey{}) != nil }

// reclaimIdleConn closes one idle connection for w, unless w has been served or a connection that is closing serves it.
// It returns false if there was nothing to close.
func (b *Budget) reclaimIdleConn(w *waiter) bool {
	for range reclaimTries {
		b.mu.Lock()
		select {
		case <-w.granted:
			b.mu.Unlock()
			return true
		default:
		}
		if !b.shortLocked() {
			b.mu.Unlock()
			return true
		}
		victim := b.victimLocked(w)
		if victim == nil {
			b.mu.Unlock()
			return false
		}
		b.closing++
		b.mu.Unlock()
		conn := victim.longestIdle()
		if b.discard(conn); conn != nil {
			return true
		}
	}
	return false
}

// Shrink closes idle connections until the budget's limit is kept, or none is idle. Each is closed by a goroutine of
// wg's: with a server that does not answer, each takes up to a second.
func (b *Budget) Shrink(wg *sync.WaitGroup) {
	for {
		b.mu.Lock()
		if b.held-b.closing <= b.limit {
			b.mu.Unlock()
			return
		}
		victim := b.sieve.next((*Account).hasIdle)
		if victim == nil {
			b.mu.Unlock()
			return
		}
		b.closing++
		b.mu.Unlock()
		conn := victim.longestIdle()
		wg.Go(func() { b.discard(conn) })
	}
}

// victimLocked returns an account with an idle connection that can be closed for w, or nil. A tenant over its share
// takes no connection that another tenant uses within its share, unless w is overdue. The waiter's own tenant is chosen
// only after turnTime, and only if no other tenant has an idle connection to give. Caller holds b.mu.
func (b *Budget) victimLocked(w *waiter) *Account {
	now := time.Now()
	priority := b.hasPriorityLocked(w, now)
	victim := b.sieve.next(func(a *Account) bool {
		return a != w.account && (priority || !a.protectedLocked(now)) && a.hasIdle()
	})
	if victim == nil && now.Sub(w.since) > turnTime && w.account.hasIdle() {
		return w.account
	}
	return victim
}

// longestIdle acquires the connection of a's that has been idle longest, for it to be closed, or returns nil if none is
// idle any more. The others are put back in the order in which they were. Caller holds no lock.
func (a *Account) longestIdle() *pgxpool.Conn {
	conns := a.pool.AcquireAllIdle(context.WithValue(context.Background(), reclaimKey{}, true))
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

// discard closes conn, which longestIdle returned, and releases it, for the pool to throw away; conn may be nil. Caller
// has added to b.closing, and holds no lock.
func (b *Budget) discard(conn *pgxpool.Conn) {
	if conn != nil {
		ctx, cancel := context.WithTimeout(context.Background(), CloseTimeout)
		defer cancel()
		_ = conn.Conn().Close(ctx)
		conn.Release()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closing--
	if conn != nil {
		b.count.steals++
	}
}
