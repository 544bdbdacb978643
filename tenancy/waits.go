package tenancy

import (
	"iter"
	"time"

	"github.com/pgtenancy/pgtenancy/internal/histogram"
)

// Waits are the waits of a resolver since it was made.
type Waits struct {
	// Acquire has the acquires that found no open pool with a fresh record, until they got a lease or an error. Neither
	// hits are in it, nor IDs that are invalid or remembered as unknown.
	Acquire Histogram

	// Lookup has the questions to the directory, those of password retries too.
	Lookup Histogram

	// Budget and Dial are those of all servers: see [ServerStat.BudgetWait] and [ServerStat.Dial].
	Budget, Dial Histogram
}

// Histogram is a snapshot of the durations of one kind. Its buckets are the same always: the upper bound of the first
// is 250 µs, that of each further one is twice as much, up to 16.384 s, and one more has what took longer.
type Histogram struct{ s histogram.Snapshot }

// Count returns how many durations were counted.
func (h Histogram) Count() int64 {
	var n int64
	for _, c := range h.s.Counts {
		n += c
	}
	return n
}

// Sum returns the sum of the durations.
func (h Histogram) Sum() time.Duration { return h.s.Sum }

// Buckets returns each upper bound, in ascending order, and how many durations were not longer. Longer than the last
// bound are the others of Count.
func (h Histogram) Buckets() iter.Seq2[time.Duration, int64] {
	return func(yield func(time.Duration, int64) bool) {
		var n int64
		for i := range histogram.Buckets {
			n += h.s.Counts[i]
			if !yield(histogram.Bound(i), n) {
				return
			}
		}
	}
}

// Quantile returns an upper bound of the q-quantile, such as 0.99: the bound of the bucket that it falls into, or twice
// the last bound. It is 0 if nothing was counted.
func (h Histogram) Quantile(q float64) time.Duration {
	total := h.Count()
	if total == 0 {
		return 0
	}
	for bound, n := range h.Buckets() {
		if float64(n) >= q*float64(total) {
			return bound
		}
	}
	return histogram.Bound(histogram.Buckets)
}
