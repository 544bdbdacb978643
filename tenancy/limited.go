package tenancy

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// limited is the context of who acquires a connection while the tenant has as many as it may, all in use. It ends when
// BudgetWait is over, so that a handler that never gives its connections back makes nobody wait for ever.
type limited struct {
	context.Context // cancelled with an error that matches ErrAtCapacity as its cause
	cancel          context.CancelCauseFunc
	timer           *time.Timer
}

// exhausted reports whether one who is acquiring now may have to wait for a connection in use. It may be wrong in the
// cautious direction: what is being given out is counted twice.
func (a *account) exhausted() bool {
	s := a.pool.Stat()
	return s.AcquiredConns()+a.asks.Load() > s.MaxConns()
}

// limit bounds the wait of one who is acquiring.
func (a *account) limit(ctx context.Context, wait time.Duration) *limited {
	if wait < 0 {
		wait = defaultBudgetWait
	}
	l := &limited{}
	l.Context, l.cancel = context.WithCancelCause(ctx)
	l.timer = time.AfterFunc(wait, func() {
		a.server.mu.Lock()
		a.server.count.refused++
		a.server.mu.Unlock()
		l.cancel(fmt.Errorf("%w: all %d connections of tenant %q are in use: is each given back?",
			ErrAtCapacity, a.pool.Stat().MaxConns(), a.id))
	})
	return l
}

// Err returns the cause if the wait was too long: pgxpool passes it on.
func (l *limited) Err() error {
	if cause := context.Cause(l.Context); errors.Is(cause, ErrAtCapacity) {
		return cause
	}
	return l.Context.Err()
}

// end lets go of the timer.
func (l *limited) end() {
	l.timer.Stop()
	l.cancel(nil)
}
