package fleet

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// After the ctx of a Close has ended, closeGrace is how long the loops have to end by themselves, and cutGrace how long
// what is left has to notice that its connections to the registry are gone.
const (
	closeGrace = 3 * time.Second
	cutGrace   = time.Second
)

// Close stops everything. Shut the HTTP server down before, and wait for the calls of the Provisioner: what it works on
// for others fails from now on, and another process, or the next one, finishes or undoes it.
//
// It stops the reconciler, while the resolver refuses new leases and waits for those that are out; then the loop that
// follows the registry, which has ended leases of tenants that were suspended meanwhile; then this process gives its
// share of the connections back, and the registry's pool is closed.
//
// Close waits until ctx ends. Then it closes the sockets of what is still in use, as [tenancy.Resolver.Close] does, and
// returns within four seconds, with an error that matches ctx's and names what goes on. It returns nil if everything
// came to rest by itself. Close may be called several times: later calls wait for the first, each on its own ctx, and
// return what it returned.
func (f *Fleet) Close(ctx context.Context) error {
	if f.closing.CompareAndSwap(false, true) {
		f.stopping.Store(true)
		f.closeErr = f.close(ctx)
		close(f.closed)
	}
	select {
	case <-f.closed:
		return f.closeErr
	case <-ctx.Done():
	}
	select {
	case <-f.closed: // both are ready
		return f.closeErr
	default:
		return fmt.Errorf("fleet: close: not over yet: %w", ctx.Err())
	}
}

// close closes what there is: an Open that fails has not made every part.
func (f *Fleet) close(ctx context.Context) error {
	patient, cancel := extend(ctx, closeGrace)
	defer cancel()
	f.reconciling.stop() // it ends while the leases do
	var err error
	if f.resolver != nil {
		err = f.resolver.Close(ctx)
	}
	var left []string
	for _, p := range []*part{f.reconciling, f.following, f.sharing} {
		if p.stop(); !p.wait(patient) {
			left = append(left, p.name)
		}
	}
	if f.pool != nil {
		left = append(left, f.closePool(patient)...)
	}
	if len(left) > 0 {
		err = errors.Join(err, fmt.Errorf("fleet: close: still in use: %s: %w", strings.Join(left, ", "), ctx.Err()))
	}
	return err
}

// closePool closes the registry's pool. If ctx ends first, it cuts the connections, and returns what was left.
func (f *Fleet) closePool(ctx context.Context) (left []string) {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		f.pool.Close()
	}()
	select {
	case <-closed:
		return nil
	case <-ctx.Done():
	}
	f.conns.cut()
	timer := time.NewTimer(cutGrace)
	defer timer.Stop()
	select {
	case <-closed:
		return []string{"connections to the registry, cut off now"}
	case <-timer.C:
		return []string{"the registry's pool"}
	}
}

// extend returns a context that ends some time after ctx does.
func extend(ctx context.Context, by time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(by)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-longer.Done():
		}
	})
	return longer, func() {
		stop()
		cancel()
	}
}
