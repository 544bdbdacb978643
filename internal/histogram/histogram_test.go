package histogram_test

import (
	"testing"
	"time"

	"github.com/pgtenancy/pgtenancy/internal/histogram"
)

func TestDurationsFallIntoTheBucketOfTheirBound(t *testing.T) {
	t.Parallel()
	var h histogram.Histogram
	var sum time.Duration
	for i := range histogram.Buckets {
		for _, d := range []time.Duration{histogram.Bound(i), histogram.Bound(i) + 1} {
			before := h.Snapshot()
			h.Observe(d)
			after := h.Snapshot()
			want := i
			if d > histogram.Bound(i) {
				want++
			}
			if after.Counts[want] != before.Counts[want]+1 {
				t.Errorf("%v is not in bucket %d: %v", d, want, after.Counts)
			}
			sum += d
		}
	}
	h.Observe(-time.Second) // a clock that went back
	h.Observe(24 * time.Hour)
	s := h.Snapshot()
	if s.Sum != sum+24*time.Hour+1 || s.Counts[0] != 2 || s.Counts[histogram.Buckets] != 2 {
		t.Errorf("%+v", s)
	}
	s.Add(s)
	if s.Counts[0] != 4 || s.Sum != 2*(sum+24*time.Hour+1) {
		t.Errorf("added to itself: %+v", s)
	}
}
