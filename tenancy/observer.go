package tenancy

import (
	"context"
	"time"
)

// Observer has functions that are called when something happens to a pool or a server. Any of them may be nil. They are
// called by the resolver's goroutines and by goroutines that make connections, several at once, and never under the
// resolver's lock. A slow function delays the opening or closing of that one pool. Do not put tenant IDs into metric
// labels: their number has no bound.
type Observer struct {
	// PoolOpened is called when a pool was made, before it is leased. Every call is followed by one of PoolEvicted and
	// one of PoolClosed. Pools that sleep and wake ([Stat.SleepingPools]) do not call again.
	PoolOpened func(id ID)

	// PoolOpenFailed is called when a look-up failed or a pool could not be made. It is not called for
	// tenants that do not exist or are not active.
	PoolOpenFailed func(id ID, err error)

	// ServedStale is called when the directory failed and an old record is used under StaleGrace.
	ServedStale func(id ID, err error)

	// Fenced is called when the fence refused a connection. err matches ErrFenced and says why. Right after a change of
	// the tenant that is expected; at any other time it is an alarm: the directory and the database disagree.
	Fenced func(id ID, err error)

	// ServerDown is called when BreakerThreshold attempts in a row to connect to a server have failed, with the error
	// of the last, and ServerUp when one succeeded again. The name is Endpoint.Server, or host:port.
	ServerDown func(server string, err error)
	ServerUp   func(server string)

	// AcquireWaited is called by an Acquire that did not find an open pool and a fresh record, when its wait ended, with
	// its context and error, in the caller's goroutine. A hit does not call it, nor an ID that is invalid or remembered
	// as unknown.
	AcquireWaited func(ctx context.Context, id ID, took time.Duration, err error)

	// LookedUp is called when the directory answered, by the goroutine of the resolver that asked. Several Acquires may
	// wait for one look-up. err may match ErrNotFound.
	LookedUp func(id ID, took time.Duration, err error)

	// Dialled is called when a connect ended, after the fence. ctx has the values of the query's context that needed the
	// connection. took has the network, TLS, login and fence in it, and not the wait for the budget.
	Dialled func(ctx context.Context, id ID, server string, took time.Duration, err error)

	// PoolEvicted is called when a pool begins to drain.
	PoolEvicted func(id ID, cause Cause)

	// PoolClosed is called when a pool is closed, took after it began to drain.
	PoolClosed func(id ID, cause Cause, took time.Duration)
}

func (o *Observer) opened(id ID) {
	if o.PoolOpened != nil {
		o.PoolOpened(id)
	}
}

func (o *Observer) openFailed(id ID, err error) {
	if o.PoolOpenFailed != nil {
		o.PoolOpenFailed(id, err)
	}
}

func (o *Observer) servedStale(id ID, err error) {
	if o.ServedStale != nil {
		o.ServedStale(id, err)
	}
}

func (o *Observer) fenced(id ID, err error) {
	if o.Fenced != nil {
		o.Fenced(id, err)
	}
}

func (o *Observer) serverDown(server string, err error) {
	if o.ServerDown != nil {
		o.ServerDown(server, err)
	}
}

func (o *Observer) serverUp(server string) {
	if o.ServerUp != nil {
		o.ServerUp(server)
	}
}

func (o *Observer) acquireWaited(ctx context.Context, id ID, took time.Duration, err error) {
	if o.AcquireWaited != nil {
		o.AcquireWaited(ctx, id, took, err)
	}
}

func (o *Observer) lookedUp(id ID, took time.Duration, err error) {
	if o.LookedUp != nil {
		o.LookedUp(id, took, err)
	}
}

func (o *Observer) dialled(ctx context.Context, id ID, server string, took time.Duration, err error) {
	if o.Dialled != nil {
		o.Dialled(ctx, id, server, took, err)
	}
}

func (o *Observer) evicted(id ID, cause Cause) {
	if o.PoolEvicted != nil {
		o.PoolEvicted(id, cause)
	}
}

func (o *Observer) closed(id ID, cause Cause, took time.Duration) {
	if o.PoolClosed != nil {
		o.PoolClosed(id, cause, took)
	}
}

// Cause says why a pool was evicted.
type Cause int

// The causes.
const (
	CauseIdle     Cause = iota // it had no lease for IdleTimeout
	CauseCapacity              // another tenant needed its slot among MaxPools
	CauseExplicit              // Evict was called
	CauseChanged               // the tenant's record changed, or Invalidate was called
	CauseClosed                // the resolver was closed

	causes = iota
)

// String returns the cause in lower case: idle, capacity, explicit, changed or closed.
func (c Cause) String() string {
	if c < 0 || c >= causes {
		return "unknown"
	}
	return [causes]string{"idle", "capacity", "explicit", "changed", "closed"}[c]
}
