package connbudget

import (
	"context"
	"fmt"
	"net"
	"time"
)

// reclaimInterval is how often a waiter looks for connections that fell idle since.
const reclaimInterval = 5 * time.Millisecond

// Permit is the right of one connect to one connection. It covers all the addresses that the connect tries:
// sslmode=prefer makes two of one host. If each address needed its own, connects that hold a permit for their first
// address would wait for one another with their second.
//
// The owner calls Take before each dial, GiveBack once for each Take that succeeded, when its socket is closed or was
// not made, and ConnectEnded once. Take and ConnectEnded are called by the goroutine that connects, GiveBack by any.
type Permit struct {
	account *Account
	refused error // why there was no permit: the next address would not get one either

	// Budget.mu guards the rest.
	granted bool // it was given
	spare   bool // and no socket has it
	ended   bool // the connect has ended
}

// NewPermit returns the permit of a connect that begins, which is not given yet. ctx is the context that pgxpool dials
// with: the time-outs of the acquire that it carries, if any, stop here, since Take has its own.
func (a *Account) NewPermit(ctx context.Context) *Permit {
	if o, ok := ctx.Value(acquirerKey{}).(*ownWait); ok {
		o.timer.Stop()
	}
	return &Permit{account: a}
}

// Take waits for the permit, up to wait. It also stops waiting when ctx ends, or the context of the acquire that ctx
// carries: a dial that no caller waits for must not take a connection from another tenant. If wait is negative, it
// waits only for an idle connection to close and for the tenant's own. Its error wraps Config.Full, and the context's
// if that ended.
//
// A permit that is still with the socket of an earlier address means that the socket was cut: then the next would be
// cut too, and the error is [net.ErrClosed].
func (p *Permit) Take(ctx context.Context, wait time.Duration) error {
	mu := &p.account.budget.mu
	mu.Lock()
	granted, spare := p.granted, p.spare
	p.spare = false
	mu.Unlock()
	switch {
	case spare:
		return nil
	case granted:
		return net.ErrClosed
	case p.refused != nil:
		return p.refused
	}
	acquirer, ok := ctx.Value(acquirerKey{}).(context.Context)
	if !ok {
		acquirer = ctx
	}
	if p.refused = p.account.take(ctx, acquirer, wait); p.refused != nil {
		return p.refused
	}
	mu.Lock()
	defer mu.Unlock()
	p.granted = true
	return nil
}

// GiveBack takes the permit back from a socket that is closed, or was not made: for the next address if the connect
// goes on, else for the next connect.
func (p *Permit) GiveBack() {
	b := p.account.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	if !p.ended {
		p.spare = true
		return
	}
	b.releaseLocked(p.account)
}

// ConnectEnded notes that the connect has ended, with or without success: another may begin.
func (p *Permit) ConnectEnded() {
	b := p.account.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	p.ended = true
	if p.spare {
		b.releaseLocked(p.account)
	}
	if p.granted {
		b.connectEndedLocked()
	}
}

// take gets a a permit. It stops waiting when ctx or acquirer ends.
func (a *Account) take(ctx, acquirer context.Context, wait time.Duration) error {
	b := a.budget
	w := b.enqueue(a, wait)
	if w == nil {
		return nil
	}
	defer func() { b.waits.Observe(time.Since(w.since)) }()
	reclaimed := b.reclaimIdleConn(w)
	if wait < 0 && !reclaimed {
		return b.timeOut(w)
	}
	if wait < 0 {
		wait = DefaultWait // not for a connection in use, only for an idle one to close
	}
	timeout := time.NewTimer(wait)
	defer timeout.Stop()
	again := time.NewTicker(reclaimInterval)
	defer again.Stop()
	for {
		select {
		case <-w.granted:
			return nil
		case <-ctx.Done():
			return b.abandon(w, ctx)
		case <-acquirer.Done():
			return b.abandon(w, acquirer)
		case <-timeout.C:
			return b.timeOut(w)
		case <-w.reclaim:
			b.reclaimIdleConn(w)
		case <-again.C:
			b.reclaimIdleConn(w)
		}
	}
}

// abandon ends w's wait because ctx ended. A permit that was granted in the same instant goes on to the next. The error
// wraps Config.Full too, so that it does not count as the server's failure.
func (b *Budget) abandon(w *waiter, ctx context.Context) error {
	if !b.dequeue(w) {
		b.mu.Lock()
		b.releaseLocked(w.account)
		b.connectEndedLocked()
		b.mu.Unlock()
	}
	return fmt.Errorf("%w: no connection to server %q became free: %w", b.cfg.Full, b.cfg.Name, ctx.Err())
}

// timeOut ends w's wait because it took too long. A permit that was granted in the same instant is used.
func (b *Budget) timeOut(w *waiter) error {
	if !b.dequeue(w) {
		return nil
	}
	b.mu.Lock()
	b.count.timeouts++
	b.mu.Unlock()
	return fmt.Errorf("%w: no connection to server %q became free", b.cfg.Full, b.cfg.Name)
}
