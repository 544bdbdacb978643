package connbudget

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// Released is called when conn goes back to a's pool, before the pool has it. It closes a connection that is due to
// another tenant, and the pool then throws it away: that makes this release last about a millisecond. Otherwise the
// next acquire that waits for one of the tenant's own connections goes on.
func (a *Account) Released(conn *pgx.Conn) {
	if conn.IsClosed() || conn.PgConn().IsBusy() || conn.PgConn().TxStatus() != 'I' {
		return
	}
	if !a.mustPreempt() {
		a.wakeNext()
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), CloseTimeout)
	defer cancel()
	_ = conn.Close(ctx)
	a.preempted()
}

// mustPreempt reports whether a connection that is released must be closed, so that its permit goes to another dial.
// The caller closes it, and calls preempted.
func (a *Account) mustPreempt() bool {
	now := time.Now()
	if lent := a.lent.Load(); lent > 0 && a.lent.CompareAndSwap(lent, lent-1) {
		return false
	}
	a.touch(now)
	b := a.budget
	if !b.pressed.Load() {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.held-b.closing <= b.limit {
		w := b.unservedLocked()
		if w == nil || !b.owesLocked(a, w, now) {
			return false
		}
	}
	b.closing++
	b.count.preempts++
	return true
}

func (a *Account) preempted() {
	a.budget.mu.Lock()
	defer a.budget.mu.Unlock()
	a.budget.closing--
}

// unservedLocked returns the first waiter that no connection that is closing serves, or nil. Caller holds b.mu.
func (b *Budget) unservedLocked() *waiter {
	if !b.shortLocked() {
		return nil
	}
	return b.queue[b.nextLocked(b.closing)]
}

// owesLocked reports whether a owes w a connection. A tenant beyond its share owes one to a tenant that has less than
// its own; a tenant within its share, only when it has had its turn: with more tenants than connections, each gets one
// in turn. Caller holds b.mu.
func (b *Budget) owesLocked(a *Account, w *waiter, now time.Time) bool {
	waited := now.Sub(w.since)
	if w.account == a {
		if waited < turnTime || now.Sub(a.swapped) < swapInterval {
			return false
		}
		a.swapped = now
		return true
	}
	if !b.hasPriorityLocked(w, now) {
		return false
	}
	return a.held > b.shareLocked(a) || waited >= turnTime && now.Sub(a.granted) >= turnTime
}
