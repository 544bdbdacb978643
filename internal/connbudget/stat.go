package connbudget

import (
	"math"

	"github.com/pgtenancy/pgtenancy/internal/histogram"
)

// Stat is a snapshot of a [Budget].
type Stat struct {
	Limit   int // -1: no limit
	Held    int // permits: connections in use, idle, being dialled and being closed
	Waiting int // dials that wait for a permit

	// Cumulative counts.
	Dials    int64 // permits given out
	Waits    int64 // dials that found no permit free
	Timeouts int64 // dials that got no permit in time, and acquires that got no connection of their tenant's own in time
	Steals   int64 // idle connections closed to make room
	Preempts int64 // connections closed on release, for another tenant or because the limit shrank

	WaitTimes histogram.Snapshot // of dials for a permit, and of acquires for one of the tenant's own connections
}

// Stat returns a snapshot.
func (b *Budget) Stat() Stat {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := Stat{
		Limit: b.limit, Held: b.held, Waiting: len(b.queue),
		Dials: b.count.dials, Waits: b.count.waits, Timeouts: b.count.timeouts,
		Steals: b.count.steals, Preempts: b.count.preempts, WaitTimes: b.waits.Snapshot(),
	}
	if s.Limit == math.MaxInt {
		s.Limit = -1
	}
	return s
}
