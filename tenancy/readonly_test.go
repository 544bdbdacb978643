package tenancy_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// A primary that becomes read only under load is noticed by each connection at most once, and writes succeed again soon
// after it takes them.
func TestPrimaryThatTurnsReadOnlyFailsEachConnectionOnce(t *testing.T) {
	const tenantCount = 4
	c := newCluster(t, pgtest.ClusterConfig{})
	c.exec(t, "CREATE TABLE kept (n int)", "GRANT INSERT ON kept TO app")
	dir, base := c.tenants(t, tenantCount)
	r := resolver(t, tenancy.Config{Directory: dir, Base: base})
	defer closeNow(t, r)
	seen := make(chan uint32, 100_000) // backends, by each 25006
	write := func(id tenancy.ID) error {
		return r.AcquireFunc(t.Context(), id, func(ctx context.Context, pool *pgxpool.Pool) error {
			return pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
				_, err := conn.Exec(ctx, "INSERT INTO kept VALUES (1)")
				var pg *pgconn.PgError
				if errors.As(err, &pg) && pg.Code == "25006" {
					seen <- conn.Conn().PgConn().PID()
				}
				return err
			})
		})
	}
	var slowest time.Duration
	var failed, served int
	flips := pgtest.Size(1, 20)
	for range flips {
		stop := traffic(t, 200, tenantCount, write)
		wait(t, 100*time.Millisecond)
		c.exec(t, "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
		wait(t, pgtest.Size(300*time.Millisecond, time.Second))
		c.exec(t, "SET default_transaction_read_only = off", "ALTER SYSTEM RESET default_transaction_read_only",
			"SELECT pg_reload_conf()")
		back := time.Now()
		eventually(t, "writable", func() bool { return write("t0") == nil })
		wait(t, 200*time.Millisecond)
		for _, o := range stop() {
			switch {
			case o.err == nil:
				served++
			case o.begun.After(back):
				slowest = max(slowest, o.ended.Sub(back))
				fallthrough
			default:
				failed++
			}
		}
	}
	close(seen)
	var backends []uint32
	for pid := range seen {
		backends = append(backends, pid)
	}
	slices.Sort(backends)
	once := len(slices.Compact(slices.Clone(backends)))
	if len(backends) == 0 || once != len(backends) {
		t.Errorf("%d errors on %d connections", len(backends), once)
	}
	if slowest > 5*time.Second {
		t.Errorf("a write failed %v after the server takes them", slowest)
	}
	pgtest.Figure(t, "R11", "%d times read only under 200 writes/s: 25006 on %d connections, %d of them more than once; "+
		"%d served, %d failed, the last %v after writes were taken again",
		flips, once, len(backends)-once, served, failed, slowest.Round(time.Millisecond))
}
