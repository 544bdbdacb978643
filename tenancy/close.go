package tenancy

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"
)

// closeGrace is how long Close, once its context has ended and it has closed the sockets, waits for holders to notice
// and release their connections.
const closeGrace = 2 * time.Second

// Close closes the resolver and every pool. Acquire returns [ErrClosed] from now on, also to callers that are waiting.
// Close waits for the leases until ctx ends; then it closes the sockets of pools that are still in use, and returns an
// error that matches ctx's. It returns nil if every pool drained by itself. When it returns, all goroutines of the
// resolver have ended, except where a holder does not release a connection even then, or a Directory ignores its
// context. Close may be called several times and by several callers: each waits on its own ctx.
func (r *Resolver) Close(ctx context.Context) error {
	if r.beginClose() {
		r.cancel()
		go func() {
			r.wg.Wait()
			close(r.done)
		}()
	}
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
	}
	left := r.cutAll()
	timer := time.NewTimer(closeGrace)
	defer timer.Stop()
	select {
	case <-r.done:
		if left == 0 {
			return nil
		}
		return fmt.Errorf("tenancy: close: %d pools cut off in use: %w", left, ctx.Err())
	case <-timer.C:
		return fmt.Errorf("tenancy: close: pools or look-ups still in use after %d pools were cut off: %w", left, ctx.Err())
	}
}

// beginClose refuses new leases, fails the openings in flight and evicts every pool. It returns false if it was called
// before.
func (r *Resolver) beginClose() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	r.closed = true
	for _, o := range r.openings {
		r.finishLocked(o, nil, ErrClosed)
	}
	for _, e := range r.entries.Values() {
		r.evictLocked(e, CauseClosed, ErrClosed)
	}
	return true
}

// cutAll closes the sockets of every pool that drains or for which Config.Attach runs, and returns how many were still
// leased.
func (r *Resolver) cutAll() int {
	r.mu.Lock()
	leased, pools := 0, slices.Collect(maps.Keys(r.attaching))
	for e := range r.retiring {
		if e.pool != nil {
			pools = append(pools, e.pool)
		}
		if e.leases > 0 {
			leased++
		}
	}
	r.mu.Unlock()
	for _, o := range pools {
		o.sockets.cut()
	}
	return leased
}
