package tenancy

import (
	"context"
	"fmt"
	"runtime/debug"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/connbudget"
)

// Attached returns the value that Config.Attach made for l's pool. It returns false if there is none, or if it has
// another type than T. Use the value as the pool: not after Release.
func Attached[T any](l *Lease) (T, bool) {
	value, ok := l.pool.attached.(T)
	return value, ok
}

// attach calls Config.Attach for o, which is not leased yet. A panic in it is an error.
func (r *Resolver) attach(o *tenantPool, t Tenant) (err error) {
	if r.cfg.Attach == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(r.ctx, r.cfg.OpenTimeout)
	defer cancel()
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
		if err != nil {
			err = fmt.Errorf("attach: %w", err)
		}
	}()
	o.attached, o.detach, err = r.cfg.Attach(ctx, t.clone(), o.pgxPool)
	return err
}

// close closes what is attached to the pool, and then the pool. It waits for connections in use.
func (o *tenantPool) close() {
	if o.detach != nil {
		o.detach()
	}
	o.pgxPool.Close()
}

// strict makes a hook of the pool that refuses to give a connection while nobody has a lease on the pool.
func (r *Resolver) strict(
	o *tenantPool, id ID, next func(context.Context, *pgx.Conn) (bool, error),
) func(context.Context, *pgx.Conn) (bool, error) {
	return func(ctx context.Context, conn *pgx.Conn) (bool, error) {
		if !connbudget.IsReclaim(ctx) && r.released(o, id) {
			return true, fmt.Errorf("%w: tenant %q", ErrReleased, id)
		}
		if next == nil {
			return true, nil
		}
		return next(ctx, conn)
	}
}

// released reports whether o is the pool of an entry without leases. What Attach does with it, before it is anybody's,
// is no use after a release.
func (r *Resolver) released(o *tenantPool, id ID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e, ok := r.entries.Peek(id); ok && e.pool == o {
		return e.leases == 0
	}
	for e := range r.retiring {
		if e.pool == o {
			return e.leases == 0
		}
	}
	return false
}
