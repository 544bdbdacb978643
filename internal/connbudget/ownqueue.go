package connbudget

import (
	"context"
	"runtime"
	"slices"
	"time"
)

// waitForOwn waits until a connection of a is free, or a new one should be dialled: the tenant lost those it had, the
// server has room, or the wait became too long. Too long is reclaimInterval for a tenant that has less than its share,
// and half of wait for the others. It does not wait if the server has room.
//
// A tenant's own next connection is nearly always free sooner than another could be dialled, and another tenant's is
// kept. The wait is here and not in the dial, because once pgxpool has begun to dial, the caller waits for that dial,
// even if a connection falls idle meanwhile.
func (a *Account) waitForOwn(ctx context.Context, wait time.Duration) {
	b := a.budget
	if !b.full.Load() {
		return
	}
	b.mu.Lock()
	if a.mayProceedLocked(time.Time{}, wait) {
		b.mu.Unlock()
		return
	}
	since, free := time.Now(), make(chan struct{})
	a.ownQueue = append(a.ownQueue, free)
	a.ownWaiting.Add(1)
	b.mu.Unlock()
	defer func() { b.waits.Observe(time.Since(since)) }()
	ticker := time.NewTicker(reclaimInterval)
	defer ticker.Stop()
	for {
		select {
		case <-free:
			a.waitForIdle()
			return
		case <-ctx.Done():
		case <-ticker.C:
		}
		b.mu.Lock()
		i := slices.Index(a.ownQueue, free)
		if i > 0 && ctx.Err() == nil || i == 0 && ctx.Err() == nil && !a.mayProceedLocked(since, wait) {
			b.mu.Unlock()
			continue
		}
		if i >= 0 {
			a.ownQueue = slices.Delete(a.ownQueue, i, i+1)
			a.ownWaiting.Add(-1)
		}
		b.mu.Unlock()
		return
	}
}

// mayProceedLocked reports whether an acquire that has waited since then may go on to the pool; a newcomer if since is
// zero. Caller holds Budget.mu.
func (a *Account) mayProceedLocked(since time.Time, wait time.Duration) bool {
	b := a.budget
	newcomer := since.IsZero()
	switch {
	case newcomer && len(a.ownQueue) > 0:
		return false
	case a.held == 0 || b.held < b.limit && len(b.queue) == 0 || a.hasIdle():
		return true
	case newcomer:
		return false
	}
	waited := time.Since(since)
	return waited >= reclaimInterval && b.belowShareLocked(a) || waited >= max(wait/2, turnTime)
}

// wakeNext lets the acquire that has waited longest go on, because a connection is about to be free.
func (a *Account) wakeNext() {
	if a.ownWaiting.Load() == 0 {
		return
	}
	a.budget.mu.Lock()
	defer a.budget.mu.Unlock()
	if len(a.ownQueue) > 0 {
		close(a.ownQueue[0])
		a.ownQueue = slices.Delete(a.ownQueue, 0, 1)
		a.ownWaiting.Add(-1)
	}
}

// waitForIdle gives the goroutine that releases a connection the moment it needs to put it into the pool.
func (a *Account) waitForIdle() {
	for range 10 {
		if a.pool.Stat().IdleConns() > 0 {
			return
		}
		runtime.Gosched()
	}
}
