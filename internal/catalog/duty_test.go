package catalog_test

import (
	"errors"
	"testing"
	"time"
)

func TestADutyFallsToOneOfMany(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for round := range 3 {
		taken := make([]bool, 8)
		must(t, errors.Join(concurrently(len(taken), func(i int) (err error) {
			taken[i], err = f.TryLease(t.Context(), "survey", time.Hour)
			return err
		})...))
		n := 0
		for _, mine := range taken {
			if mine {
				n++
			}
		}
		if n != 1 {
			t.Errorf("round %d: it fell to %d", round, n)
		}
		f.exec(t, `UPDATE pgtenancy.duties SET until = now()`)
	}
	if mine, err := f.TryLease(t.Context(), "another", time.Hour); err != nil || !mine {
		t.Errorf("another duty: %t, %v", mine, err)
	}
}
