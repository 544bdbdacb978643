package tenancy

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Outcome is the result of [Resolver.ForEach].
type Outcome struct {
	// Done counts the tenants for which f returned nil.
	Done int

	// Failed has the error of every other tenant that was begun: that of Acquire or of f, unchanged.
	Failed map[ID]error

	// Stopped is the error of the context if it ended before every tenant was begun.
	Stopped error
}

// Err returns nil if f was called for every tenant and never failed. Otherwise it returns one error that matches every
// error in Failed and Stopped, and names the tenants, in order.
func (o *Outcome) Err() error {
	errs := make([]error, 0, 1+len(o.Failed))
	for _, id := range slices.Sorted(maps.Keys(o.Failed)) {
		errs = append(errs, fmt.Errorf("tenant %q: %w", id, o.Failed[id]))
	}
	if o.Stopped != nil {
		errs = append(errs, fmt.Errorf("tenancy: not every tenant was begun: %w", o.Stopped))
	}
	return errors.Join(errs...)
}

// ForEach leases the pool of each tenant of ids, calls f with it, and releases it; up to limit tenants at a time, at
// least one. A failure for one tenant does not stop the others. Connections that f uses count against MaxConns and
// share it fairly with those of requests; a limit well below MaxConns leaves room for requests.
//
// ctx governs everything: f is called with it and with the lease in it ([FromContext]), and no tenant is begun after it
// ended. ForEach returns when the last f has. A panic of f is raised again in the caller, after that.
func (r *Resolver) ForEach(
	ctx context.Context, ids iter.Seq[ID], limit int, f func(context.Context, ID, *pgxpool.Pool) error,
) *Outcome {
	var (
		out      = &Outcome{Failed: make(map[ID]error)}
		mu       sync.Mutex // guards out and panicked
		panicked []any
		wg       sync.WaitGroup
		places   = make(chan struct{}, max(1, limit))
	)
	one := func(id ID) {
		defer func() {
			if v := recover(); v != nil {
				mu.Lock()
				defer mu.Unlock()
				panicked = append(panicked, v)
			}
		}()
		err := func() error {
			l, err := r.Acquire(ctx, id)
			if err != nil {
				return err
			}
			defer l.Release()
			return f(NewContext(ctx, l), id, l.Pool())
		}()
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			out.Done++
			return
		}
		out.Failed[id] = err
	}
	for id := range ids {
		id = ID(strings.Clone(string(id))) // kept in Failed, and ids may reuse its bytes for the next
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
		}
		if out.Stopped = ctx.Err(); out.Stopped != nil {
			break
		}
		wg.Go(func() {
			defer func() { <-places }()
			one(id)
		})
	}
	wg.Wait()
	if len(panicked) > 0 {
		panic(panicked[0])
	}
	return out
}
