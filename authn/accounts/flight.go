package accounts

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
)

// flights has one of sign-ups that are the same, and come at once, do the work for all of them.
type flights struct {
	mu       sync.Mutex // guards underWay, and waiting of each; no I/O while it is held
	underWay map[flightKey]*flight
}

type flightKey [sha256.Size]byte

// flight is the work of one caller. It goes on while anybody waits for it.
type flight struct {
	waiting int
	cancel  context.CancelFunc
	done    chan struct{}
	made    *signedUp // this and err are written before done is closed
	err     error
}

var errFlight = errors.New("accounts: sign-up was not finished")

// do calls f, or waits for a call that another does of the same. f's context ends when that of every caller has.
func (g *flights) do(ctx context.Context, key flightKey,
	f func(context.Context) (*signedUp, error),
) (*signedUp, error) {
	g.mu.Lock()
	fl, follows := g.underWay[key]
	work := ctx
	if !follows {
		fl = &flight{done: make(chan struct{}), err: errFlight}
		work, fl.cancel = context.WithCancel(context.WithoutCancel(ctx))
		g.underWay[key] = fl
	}
	fl.waiting++
	g.mu.Unlock()
	stay := context.AfterFunc(ctx, func() { g.leave(key, fl) })
	defer stay()
	if follows {
		select {
		case <-fl.done:
			return fl.made, fl.err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	defer func() { // also after a panic
		g.end(key, fl)
		fl.cancel()
		close(fl.done)
	}()
	fl.made, fl.err = f(work)
	if fl.err != nil && ctx.Err() != nil {
		return nil, fmt.Errorf("%w: %w", ctx.Err(), fl.err)
	}
	return fl.made, fl.err
}

// leave is for a caller whose context has ended. With the last one the work ends, and the next caller begins anew.
func (g *flights) leave(key flightKey, fl *flight) {
	g.mu.Lock()
	fl.waiting--
	last := fl.waiting == 0
	if last && g.underWay[key] == fl {
		delete(g.underWay, key)
	}
	g.mu.Unlock()
	if last {
		fl.cancel()
	}
}

func (g *flights) end(key flightKey, fl *flight) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.underWay[key] == fl {
		delete(g.underWay, key)
	}
}
