package provision_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
)

// TestSignUpsAtOnceBesideBareCreates measures cold sign-ups, some at a time, beside the CREATE DATABASE that is in each
// of them, which has a connection of its own as well. Passwords are not hashed here.
func TestSignUpsAtOnceBesideBareCreates(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	p := f.provisioner(t)
	must(t, p.PrepareTemplate(t.Context(), "one"))
	template := pgx.Identifier{f.prefix + "_template_" + f.schema.Hash()}.Sanitize()
	var figure []string
	for _, atOnce := range pgtest.Size([]int{1, 4}, []int{1, 4, 8}) {
		n := pgtest.Size(max(atOnce, 2), 48)
		bare := measure(t, atOnce, n, func(i int) error {
			name := pgx.Identifier{fmt.Sprintf("%sbare%dx%d", f.prefix, atOnce, i)}.Sanitize()
			return execute(t.Context(), f.admin, "CREATE DATABASE "+name+" TEMPLATE "+template)
		})
		full := measure(t, atOnce, n, func(i int) error {
			id := fmt.Sprintf("full%dx%d", atOnce, i)
			_, err := p.Create(t.Context(), request(t, id, id+"@example.org"))
			return err
		})
		figure = append(figure, fmt.Sprintf("%d at a time: sign-ups %v; bare %v; %.2f of the rate",
			atOnce, full, bare, full.perSecond/bare.perSecond))
	}
	pgtest.Figure(t, "P12", "%s", strings.Join(figure, "; "))
}

// rate is how quickly something was done.
type rate struct {
	perSecond     float64
	median, worst time.Duration // worst: the 99th of a hundred
}

func (r rate) String() string {
	return fmt.Sprintf("%.1f/s, p50 %v, p99 %v", r.perSecond, r.median.Round(time.Millisecond),
		r.worst.Round(time.Millisecond))
}

// measure does something n times, some at once.
func measure(t *testing.T, atOnce, n int, do func(i int) error) rate {
	t.Helper()
	took := make([]time.Duration, n)
	slot := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	began := time.Now()
	for i := range n {
		slot <- struct{}{}
		wg.Go(func() {
			defer func() { <-slot }()
			start := time.Now()
			if err := do(i); err != nil {
				t.Error(err)
			}
			took[i] = time.Since(start)
		})
	}
	pgtest.Wait(t, "every goroutine ends", wg.Wait)
	all := time.Since(began)
	slices.Sort(took)
	return rate{float64(n) / all.Seconds(), took[(n-1)/2], took[n*99/100]}
}
