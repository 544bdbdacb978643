package tenancy

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Acquire leases the pool of tenant id, opening it if needed. ctx bounds only the wait: what Acquire waits for goes on
// for other callers when ctx ends.
//
// It returns [ErrInvalidID], [ErrNotFound], a [*StateError], [ErrAtCapacity], [ErrClosed], the error of ctx, the error
// of the directory, a [*PanicError] if the directory panicked, or an error that names the fault of the tenant's
// Endpoint. The caller must Release the lease.
//
// Where the resolver keeps id, it keeps a copy: the caller may reuse the memory of the string when Acquire has
// returned. So it is with every argument of a Resolver's methods, and with what the directory returns.
func (r *Resolver) Acquire(ctx context.Context, id ID) (*Lease, error) {
	e, err := r.acquire(ctx, id)
	if err != nil {
		return nil, err
	}
	return &Lease{e: e, pool: e.pool}, nil
}

// AcquireFunc leases the pool of tenant id, calls f with ctx and the pool, and releases the lease when f returns or
// panics. It returns the error of f, unchanged, or one of Acquire's.
func (r *Resolver) AcquireFunc(ctx context.Context, id ID, f func(context.Context, *pgxpool.Pool) error) error {
	e, err := r.acquire(ctx, id)
	if err != nil {
		return err
	}
	defer r.release(e)
	return f(ctx, e.pool.pgxPool)
}

// acquire returns id's entry, leased once and with a pool.
func (r *Resolver) acquire(ctx context.Context, id ID) (*entry, error) {
	r.mu.Lock()
	if e, ok := r.entries.Peek(id); ok && e.pool != nil && r.clock() < e.freshUntil {
		r.leaseLocked(e, 1)
		r.count.hits++
		r.mu.Unlock()
		return e, nil
	}
	r.mu.Unlock()
	for {
		e, err := r.acquireMiss(ctx, id)
		if err != nil {
			return nil, err
		}
		if awake, err := r.wake(ctx, e); awake || err != nil {
			return e, err
		}
	}
}

// acquireMiss waits for the directory, unless the tenant's entry is there and fresh. The entry that it returns may
// sleep.
func (r *Resolver) acquireMiss(ctx context.Context, id ID) (*entry, error) {
	if !id.Valid() {
		return nil, invalidIDError(string(id))
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("tenancy: acquire tenant %q: %w", id, err)
	}
	r.mu.Lock()
	r.count.misses++
	if r.closed {
		r.mu.Unlock()
		return nil, ErrClosed
	}
	if r.notFound.has(id, r.now()) {
		r.count.notFound++
		r.mu.Unlock()
		return nil, notFoundError(id)
	}
	e, known := r.entries.Peek(id)
	if known && r.clock() < e.freshUntil { // asleep, or published a moment ago
		r.leaseLocked(e, 1)
		r.mu.Unlock()
		return e, nil
	}
	o := r.joinLocked(id)
	r.mu.Unlock()
	if known {
		return r.waitBriefly(ctx, o)
	}
	return r.wait(ctx, o)
}

// wait waits for o until ctx ends.
func (r *Resolver) wait(ctx context.Context, o *opening) (*entry, error) {
	select {
	case <-o.done:
		return o.entry, o.err
	case <-ctx.Done():
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leaveLocked(o)
	return nil, fmt.Errorf("tenancy: acquire tenant %q: %w", o.id, ctx.Err())
}

// waitBriefly waits for o, a look-up of a known tenant whose record is past its TTL. If the directory takes long, the
// old record is used: a directory that hangs must not make every request hang.
func (r *Resolver) waitBriefly(ctx context.Context, o *opening) (*entry, error) {
	timer := time.NewTimer(staleLookupWait)
	defer timer.Stop()
	select {
	case <-o.done:
		return o.entry, o.err
	case <-ctx.Done():
		return r.wait(ctx, o)
	case <-timer.C:
	}
	r.mu.Lock()
	e, known := r.entries.Peek(o.id)
	if o.finished || !known || !r.extendStaleLocked(e) {
		r.mu.Unlock()
		return r.wait(ctx, o)
	}
	r.leaveLocked(o)
	r.leaseLocked(e, 1)
	r.count.stale++
	r.mu.Unlock()
	return e, nil
}

// leaveLocked takes one waiter from o. If o was finished in the same instant, the waiter has a lease, and it is
// released. An opening that waits for a slot and has lost its last waiter gives up: no other tenant is evicted for it.
// Caller holds r.mu.
func (r *Resolver) leaveLocked(o *opening) {
	if o.finished {
		if o.entry != nil {
			r.releaseLocked(o.entry)
		}
		return
	}
	if o.waiters--; o.waiters == 0 && o.queued {
		r.finishLocked(o, nil, ErrAtCapacity)
	}
}
