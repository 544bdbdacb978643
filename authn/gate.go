package authn

import (
	"context"
	"fmt"
	"time"
)

// gate lets a bounded number of callers in and a bounded number wait, first come first served.
type gate struct {
	permits chan struct{} // one element for each caller that is in
	queue   chan struct{} // one for each that waits
	wait    time.Duration
}

func newGate(permits, queue int, wait time.Duration) *gate {
	if wait < 0 {
		queue = 0
	}
	return &gate{
		permits: make(chan struct{}, permits),
		queue:   make(chan struct{}, max(queue, 0)),
		wait:    wait,
	}
}

// enter takes a permit, for leave to give back. It returns ErrBusy when the queue is full or the wait is over, and an
// error that wraps ctx's when ctx ends first.
func (g *gate) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("authn: wait for a hash: %w", err)
	}
	select {
	case g.permits <- struct{}{}:
		return nil
	default:
	}
	select {
	case g.queue <- struct{}{}:
		defer func() { <-g.queue }()
	default:
		return ErrBusy
	}
	timer := time.NewTimer(g.wait)
	defer timer.Stop()
	select {
	case g.permits <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("authn: wait for a hash: %w", ctx.Err())
	case <-timer.C:
		return ErrBusy
	}
}

// full reports whether enter would refuse at once.
func (g *gate) full() bool { return len(g.permits) == cap(g.permits) && len(g.queue) == cap(g.queue) }

func (g *gate) leave() { <-g.permits }
