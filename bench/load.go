package main

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// worker makes requests, one after the other. It is not safe for concurrent use.
type worker interface {
	do(ctx context.Context, tenant int) error
	close()
}

// tally is what came of a load.
type tally struct {
	took      time.Duration
	latencies []float64 // of the requests that were answered, in ms
	errors    map[string]int
	first     error
}

func (t *tally) add(other *tally) {
	t.latencies = append(t.latencies, other.latencies...)
	for class, n := range other.errors {
		t.errors[class] += n
	}
	if t.first == nil {
		t.first = other.first
	}
}

func (t *tally) failed() (n int) {
	for _, k := range t.errors {
		n += k
	}
	return n
}

func (t *tally) throughput() float64 { return float64(len(t.latencies)) / t.took.Seconds() }

// load keeps the workers busy for d, with the traffic of zipf.
func load(ctx context.Context, d time.Duration, tenants int, workers []worker) *tally {
	all := make([]*tally, len(workers))
	start := time.Now()
	end := start.Add(d)
	var wg sync.WaitGroup
	for i, w := range workers {
		wg.Go(func() {
			t := &tally{errors: make(map[string]int)}
			all[i] = t
			next := zipf(tenants, uint64(i)+1) //nolint:gosec // not negative
			for now := time.Now(); now.Before(end) && ctx.Err() == nil; {
				err := w.do(ctx, next())
				done := time.Now()
				if err == nil {
					t.latencies = append(t.latencies, ms(done.Sub(now)))
				} else {
					t.errors[classify(err)]++
					t.first = cmp.Or(t.first, err)
				}
				now = done
			}
		})
	}
	wg.Wait()
	sum := &tally{took: time.Since(start), errors: make(map[string]int)}
	for _, t := range all {
		sum.add(t)
	}
	return sum
}

func closeAll(workers []worker) {
	for _, w := range workers {
		w.close()
	}
}

// classify names the kind of an error: its SQLSTATE if it has one.
func classify(err error) string {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code
	}
	switch {
	case errors.Is(err, tenancy.ErrAtCapacity):
		return "capacity"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	default:
		return "other"
	}
}

type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

var _ = []querier{(*pgxpool.Pool)(nil), (*pgx.Conn)(nil)}

// selectName is the one SELECT of a request.
func selectName(ctx context.Context, db querier, member int) (name string, err error) {
	err = db.QueryRow(ctx, "SELECT name FROM member WHERE id = $1", member%1000).Scan(&name)
	return name, err
}
