package tenancy_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// throughPooler runs 800 queries with arguments on 16 connections to a PgBouncer, which has 4 to the server, and counts
// those that fail.
func throughPooler(t *testing.T, pooler *pgx.ConnConfig, pooled bool) int64 {
	t.Helper()
	const workers, queries = 16, 50
	dir, base := databases(t, 1)
	rec := dir.records["t0"]
	mark(t, rec.Endpoint.Database, tenancy.OwnerTag{Tenant: "t0"}.String())
	rec.Endpoint.Host, rec.Endpoint.Port, rec.Endpoint.Pooled = pooler.Host, pooler.Port, pooled
	dir.put(rec)
	r := resolver(t, tenancy.Config{Directory: dir, Base: base, MaxConnsPerTenant: workers, Fence: true})
	defer closeNow(t, r)
	var failed atomic.Int64
	err := r.AcquireFunc(t.Context(), "t0", func(ctx context.Context, pool *pgxpool.Pool) error {
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				for i := range queries {
					var sum int
					var text string
					sql := fmt.Sprintf("select $1::int + %d, $2::text", i%7) // several statements
					err := pool.QueryRow(ctx, sql, w, "it's").Scan(&sum, &text)
					if err != nil || sum != w+i%7 || text != "it's" {
						failed.Add(1)
					}
				}
			})
		}
		pgtest.Wait(t, "every goroutine ends", wg.Wait)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return failed.Load()
}

func TestQueriesWithArgumentsGoThroughATransactionPooler(t *testing.T) {
	t.Parallel()
	pooler := pgtest.Pooler(t)
	if failed := throughPooler(t, pooler, true); failed != 0 {
		t.Errorf("%d of 800 queries failed", failed)
	}
	// From 1.21 on, PgBouncer may follow prepared statements; 1.18 does not, and shows what the mode is good for.
	t.Logf("without Pooled, %d of 800 queries fail", throughPooler(t, pooler, false))
}
