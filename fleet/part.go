package fleet

import (
	"context"
	"fmt"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
)

// part is a loop of the fleet's.
type part struct {
	name   string
	cancel context.CancelFunc
	done   chan struct{} // closed when it has ended
	err    error         // its own, once done is closed
}

// start runs a loop under a context of its own, so that the parts stop one after another.
func start(ctx context.Context, name string, run func(context.Context) error) *part {
	ctx, cancel := context.WithCancel(ctx)
	p := &part{name: name, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.err = run(ctx)
	}()
	return p
}

// stop has the loop end, and does not wait for it. It does nothing to a nil part.
func (p *part) stop() {
	if p != nil {
		p.cancel()
	}
}

// check reports whether the loop runs.
func (p *part) check() error {
	select {
	case <-p.done:
		if p.err != nil {
			return unready(fmt.Sprintf("%s has ended: %v", p.name, pgerr.Redact(p.err)))
		}
		return unready(p.name + " has ended")
	default:
		return nil
	}
}

// wait reports whether the loop ends before ctx; a nil part has ended.
func (p *part) wait(ctx context.Context) bool {
	if p == nil {
		return true
	}
	select {
	case <-p.done:
		return true
	case <-ctx.Done():
		return false
	}
}
