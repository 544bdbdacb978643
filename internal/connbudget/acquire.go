package connbudget

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// acquirerKey is the key under which the context of a dial carries that of the acquire: pgxpool goes on dialling for a
// caller that has left.
type acquirerKey struct{}

// AcquireStarted is called when an acquire of a's pool begins, with its context, and returns the context to acquire
// with. If all connections that the pool may have are in use, that context ends after wait, with an error that wraps
// Config.Full. If the server is full, AcquireStarted waits for one of the tenant's own connections, before pgxpool
// decides to dial. Where all the pool's connections are in use, a negative wait counts as [DefaultWait]. The caller
// must call AcquireEnded.
func (a *Account) AcquireStarted(ctx context.Context, wait time.Duration) context.Context {
	a.acquiring.Add(1)
	if a.exhausted() {
		ctx = a.boundOwnWait(ctx, wait)
	}
	a.waitForOwn(ctx, wait)
	return context.WithValue(ctx, acquirerKey{}, ctx)
}

// AcquireEnded is called with the context that AcquireStarted returned.
func (a *Account) AcquireEnded(ctx context.Context) {
	a.acquiring.Add(-1)
	if o, ok := ctx.Value(acquirerKey{}).(*ownWait); ok {
		o.end()
	}
}

// ownWait is the context of an acquire while all connections that the tenant may have are in use. It ends when wait is
// over, so that a handler that never releases its connections makes no query wait for ever.
type ownWait struct {
	context.Context // cancelled with an error that wraps full as its cause
	full            error
	cancel          context.CancelCauseFunc
	timer           *time.Timer
}

// exhausted reports whether an acquire that begins now may have to wait for a connection in use. It may report true too
// often: an acquire that is just getting its connection is counted twice.
func (a *Account) exhausted() bool {
	s := a.pool.Stat()
	return s.AcquiredConns()+a.acquiring.Load() > s.MaxConns()
}

// boundOwnWait returns a context that ends after wait.
func (a *Account) boundOwnWait(ctx context.Context, wait time.Duration) *ownWait {
	if wait < 0 {
		wait = DefaultWait
	}
	b := a.budget
	o := &ownWait{full: b.cfg.Full}
	o.Context, o.cancel = context.WithCancelCause(ctx)
	o.timer = time.AfterFunc(wait, func() {
		b.mu.Lock()
		b.count.timeouts++
		b.mu.Unlock()
		o.cancel(fmt.Errorf("%w: all %d connections of tenant %q are in use: is each one released?",
			b.cfg.Full, a.pool.Stat().MaxConns(), a.tenant))
	})
	return o
}

// Err returns the cause if the wait was too long: pgxpool passes it on.
func (o *ownWait) Err() error {
	if cause := context.Cause(o.Context); errors.Is(cause, o.full) {
		return cause
	}
	return o.Context.Err()
}

// end releases the timer and the context.
func (o *ownWait) end() {
	o.timer.Stop()
	o.cancel(nil)
}
