// Package histogram counts durations in fixed exponential buckets, without a lock.
package histogram

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Buckets is the number of buckets that have an upper bound. One more is for what is longer.
const Buckets = 17

const first = 250 * time.Microsecond

// Bound returns the upper bound of bucket i, which belongs to the bucket: 250 µs, and twice as much for each further
// bucket, up to 16.384 s.
func Bound(i int) time.Duration { return first << i }

// Histogram counts durations. The zero value is ready for use, by several goroutines.
type Histogram struct {
	counts [Buckets + 1]atomic.Int64
	sum    atomic.Int64
}

// Observe counts d.
func (h *Histogram) Observe(d time.Duration) {
	d = max(d, 1)
	h.counts[min(bits.Len64(uint64((d-1)/first)), Buckets)].Add(1)
	h.sum.Add(int64(d))
}

// Snapshot is a copy of a histogram.
type Snapshot struct {
	Counts [Buckets + 1]int64 // of each bucket alone; the last one has no bound
	Sum    time.Duration
}

// Snapshot returns a copy. Durations that are observed meanwhile may be in a count and not in the sum, or neither.
func (h *Histogram) Snapshot() Snapshot {
	s := Snapshot{Sum: time.Duration(h.sum.Load())}
	for i := range h.counts {
		s.Counts[i] = h.counts[i].Load()
	}
	return s
}

// Add adds the durations of other to s.
func (s *Snapshot) Add(other Snapshot) {
	s.Sum += other.Sum
	for i, n := range other.Counts {
		s.Counts[i] += n
	}
}
