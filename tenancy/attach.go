package tenancy

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
)

// Attached returns what [Config.Attach] made for the pool of l, if its type is T. Every lease of one pool gets the same
// value. It must not be used after Release, as the pool itself.
func Attached[T any](l *Lease) (value T, ok bool) {
	value, ok = l.pool.attached.(T)
	return value, ok
}

// newAttachedPool makes the pool of t's database and what belongs to it. The caller publishes the pool and calls
// attachedLocked in one critical section. If it fails, nothing is left open.
func (r *Resolver) newAttachedPool(t Tenant, weight int) (*tenantPool, error) {
	o, err := r.newPool(t, weight)
	if err != nil || r.cfg.Attach == nil {
		return o, err
	}
	r.mu.Lock()
	r.attaching[o] = struct{}{}
	r.mu.Unlock()
	attached := false
	defer func() { // also if Attach ends its goroutine
		if attached {
			return
		}
		r.closePool(o)
		r.mu.Lock()
		r.attachedLocked(o)
		r.mu.Unlock()
	}()
	if err := r.attach(o, t); err != nil {
		return nil, fmt.Errorf("attach: %w", pgerr.Redact(err))
	}
	attached = true
	return o, nil
}

// attach calls Config.Attach. A panic becomes an error.
func (r *Resolver) attach(o *tenantPool, t Tenant) (err error) {
	o.guard.own.Add(1)
	defer o.guard.own.Add(-1)
	ctx, cancel := context.WithTimeout(r.ctx, r.cfg.OpenTimeout)
	defer cancel()
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack(), of: "Config.Attach"}
		}
	}()
	value, detach, err := r.cfg.Attach(ctx, t, o.pgxPool)
	if err == nil {
		o.attached, o.detach = value, detach
	}
	return err
}

// attachedLocked notes that o is published, or closed. Caller holds r.mu.
func (r *Resolver) attachedLocked(o *tenantPool) { delete(r.attaching, o) }

// closePool closes o, which has no lease, and before it what is attached to it. Its sockets are cut after DrainTimeout.
func (r *Resolver) closePool(o *tenantPool) {
	if r.cfg.DrainTimeout >= 0 {
		defer time.AfterFunc(r.cfg.DrainTimeout, o.sockets.cut).Stop()
	}
	r.detach(o)
	o.pgxPool.Close()
}

// detach closes what is attached to o, which has no lease. It is called once for each pool.
func (r *Resolver) detach(o *tenantPool) {
	if o.detach == nil {
		return
	}
	o.guard.own.Add(1)
	defer o.guard.own.Add(-1)
	defer func() {
		if v := recover(); v != nil {
			r.log.panicked(o.guard.id, &PanicError{Value: v, Stack: debug.Stack(), of: "the close of Config.Attach"})
		}
	}()
	o.detach()
}
