package tenancy_test

import (
	"context"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

func TestWaitsOfAcquireAndLookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []time.Duration
		dir := newTenants("acme")
		dir.hook(func(context.Context, tenancy.ID) error {
			time.Sleep(100 * time.Millisecond)
			return nil
		})
		r := resolver(t, tenancy.Config{Directory: dir, TTL: -1, Observer: tenancy.Observer{
			AcquireWaited: func(_ context.Context, _ tenancy.ID, took time.Duration, _ error) { seen = append(seen, took) },
		}})
		defer closeNow(t, r)
		l := acquire(t, r, "acme")
		for range 1000 {
			touch(t, r, "acme") // hits
		}
		l.Release()
		for range 3 { // looked up once, then remembered
			_, err := r.Acquire(t.Context(), "ghost")
			wantErr(t, err, tenancy.ErrNotFound)
		}
		_, err := r.Acquire(t.Context(), "BAD")
		wantErr(t, err, tenancy.ErrInvalidID)
		w := r.Stat().Waits()
		for name, h := range map[string]tenancy.Histogram{"acquire": w.Acquire, "lookup": w.Lookup} {
			if h.Count() != 2 || h.Sum() != 200*time.Millisecond || h.Quantile(0.99) != 128*time.Millisecond {
				t.Errorf("%s: %d, %v in all, p99 %v", name, h.Count(), h.Sum(), h.Quantile(0.99))
			}
			var bounds, below int64
			for bound, n := range h.Buckets() {
				bounds++
				if bound < 100*time.Millisecond {
					below += n
				}
			}
			if bounds != 17 || below != 0 {
				t.Errorf("%s: %d bounds, %d below", name, bounds, below)
			}
		}
		if len(seen) != 2 || seen[0] != 100*time.Millisecond {
			t.Errorf("seen %v", seen)
		}
	})
}

func TestWaitsOfBudgetAndDial(t *testing.T) {
	t.Parallel()
	dir, base, _ := crowd(t, 2)
	type dialled struct {
		value any
		id    tenancy.ID
		err   error
	}
	type key struct{}
	var mu sync.Mutex
	var seen []dialled
	r := resolver(t, tenancy.Config{Directory: dir, Base: base, MaxConns: 1, Observer: tenancy.Observer{
		Dialled: func(ctx context.Context, id tenancy.ID, _ string, _ time.Duration, err error) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, dialled{ctx.Value(key{}), id, err})
		},
	}})
	defer closeNow(t, r)
	l := acquire(t, r, "t0")
	defer l.Release()
	conn, err := l.Pool().Acquire(context.WithValue(t.Context(), key{}, "of the query"))
	if err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	if len(seen) != 1 || seen[0] != (dialled{"of the query", "t0", nil}) {
		t.Errorf("%+v", seen)
	}
	mu.Unlock()
	if n := len(conn.Conn().PgConn().CustomData()); n != 0 {
		t.Errorf("%d values are left at the connection", n)
	}
	got := make(chan error, 1)
	go func() { got <- query(t, r, "t1") }()
	eventually(t, "the other tenant waits", func() bool { return pgStat(t, r).WaitingDials() == 1 })
	conn.Release()
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	w, s := r.Stat().Waits(), pgStat(t, r)
	if w.Dial.Count() != 2 || w.Dial.Sum() <= 0 || s.Dial().Count() != 2 {
		t.Errorf("%d dials in %v, %d of the server", w.Dial.Count(), w.Dial.Sum(), s.Dial().Count())
	}
	if w.Budget.Count() != 1 || w.Budget.Sum() <= 0 || s.BudgetWait().Count() != 1 {
		t.Errorf("%d waits for %v, %d of the server", w.Budget.Count(), w.Budget.Sum(), s.BudgetWait().Count())
	}
}

// An exporter that walks Figures misses nothing: each method of a Stat has its figure.
func TestFiguresAreAllThatAStatHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := bulkheads(t, tenancy.Config{})
		defer closeNow(t, r)
		attempts(t, r, "s", 10)
		attempts(t, r, "w", 3)
		stat := r.Stat()
		names, series := map[string]bool{}, map[string]bool{}
		last := ""
		for f := range stat.Figures() {
			if f.Name != last && names[f.Name] {
				t.Errorf("%s does not follow its like", f.Name)
			}
			names[f.Name], last = true, f.Name
			if key := f.Name + f.LabelValue; series[key] || f.Help == "" || (f.Label == "") != (f.LabelValue == "") {
				t.Errorf("%+v: twice or not whole", f)
			} else {
				series[key] = true
			}
			if strings.HasSuffix(f.Name, "_total") != (f.Kind == tenancy.CumulativeCount) {
				t.Errorf("%s has kind %d", f.Name, f.Kind)
			}
			if f.Kind == tenancy.WaitDistribution && f.Name == "server_dial_seconds" && f.Histogram.Count() == 0 {
				t.Errorf("no dial to %s", f.LabelValue)
			}
		}
		// Without Servers, Figures and Waits, whose Budget and Dial are the servers', and without Name.
		methods := reflect.TypeFor[*tenancy.Stat]().NumMethod() - 3 + 2
		methods += reflect.TypeFor[tenancy.ServerStat]().NumMethod() - 1
		if len(names) != methods {
			t.Errorf("%d figures for %d methods", len(names), methods)
		}
		for range stat.Figures() {
			break
		}
	})
}
