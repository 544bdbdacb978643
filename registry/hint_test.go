package registry_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

func TestAForgedNotificationHidesNoChange(t *testing.T) {
	t.Parallel()
	f := newFixture(t, pollEvery(time.Hour))
	id := f.active(t, "acme")
	rec, _ := f.follow(t)
	rec.wait(t, id, 2)
	f.exec(t, `SELECT pg_notify('pgtenancy_changes', (SELECT version + 1 FROM pgtenancy.feed) || ' x 1')`)
	f.exec(t, `SELECT pg_notify('pgtenancy_changes', (SELECT version + 1 FROM pgtenancy.feed) || ' acme 99')`)
	must(t, f.Suspend(t.Context(), id))
	rec.wait(t, id, 3)
	if rec.has("x", 1) || rec.has(id, 99) {
		t.Error("told of what never changed")
	}
}

// readCounter counts the reads of Follow.
type readCounter struct{ reads atomic.Int64 }

func (c *readCounter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	if strings.Contains(q.SQL, "pgtenancy.changes c ON") {
		c.reads.Add(1)
	}
	return ctx
}

func (*readCounter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func TestAStormOfNotificationsIsNoStormOfReads(t *testing.T) {
	t.Parallel()
	c := &readCounter{}
	f := newFixture(t, pollEvery(time.Hour), func(cfg *pgxpool.Config, _ *registry.Config) { cfg.ConnConfig.Tracer = c })
	id := f.active(t, "acme")
	rec, _ := f.follow(t)
	rec.wait(t, id, 2)
	before, start := c.reads.Load(), time.Now()
	for range 50 { // each transaction's notifications are sent together
		f.exec(t, `SELECT pg_notify('pgtenancy_changes', n::text) FROM generate_series(1, 20) n`)
	}
	for range 300 {
		f.exec(t, `SELECT pg_notify('pgtenancy_changes', 'storm')`)
	}
	must(t, f.Suspend(t.Context(), id))
	rec.wait(t, id, 3)
	elapsed, reads := time.Since(start), c.reads.Load()-before
	t.Logf("%d reads after 1300 notifications in %v", reads, elapsed)
	if most := int64(elapsed/registry.MinReadInterval) + 2; reads > most {
		t.Errorf("%d reads in %v, want %d at most", reads, elapsed, most)
	}
}

func TestAChangeCostsOneRead(t *testing.T) {
	t.Parallel()
	c := &readCounter{}
	f := newFixture(t, pollEvery(time.Hour), func(cfg *pgxpool.Config, _ *registry.Config) { cfg.ConnConfig.Tracer = c })
	id := f.active(t, "acme")
	rec, _ := f.follow(t)
	rec.wait(t, id, 2)
	before := c.reads.Load()
	const changes = 10
	for i := range changes {
		must(t, f.SetPassword(t.Context(), id, tenancy.NewSecret("new")))
		rec.wait(t, id, int64(3+i))
	}
	if reads := c.reads.Load() - before; reads > changes {
		t.Errorf("%d reads for %d changes", reads, changes)
	}
}

func TestAFeedThatWentBackIsFollowedFromWhereItIs(t *testing.T) {
	t.Parallel()
	f := newFixture(t, pollEvery(10*time.Millisecond))
	id, other := f.active(t, "acme"), f.active(t, "other")
	rec, _ := f.follow(t)
	rec.wait(t, other, 2)
	// As after a restore of the registry from a backup; in one transaction, so that it is seen at once.
	f.exec(t, `WITH feed AS (UPDATE pgtenancy.feed SET version = 1),
		changes AS (DELETE FROM pgtenancy.changes WHERE version > 1)
		UPDATE pgtenancy.tenants SET epoch = 50`)
	rec.wait(t, id, 0)
	rec.wait(t, other, 0)
	must(t, f.Suspend(t.Context(), id))
	rec.wait(t, id, 51)
}

func TestFollowBehindAPoolerIsLeftWithThePoll(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id := f.active(t, "acme")
	cfg := f.pool.Config()
	database := cfg.ConnConfig.Database
	cfg.ConnConfig = pgtest.Pooler(t)
	cfg.ConnConfig.Database = database
	behind := &fixture{Registry: newRegistry(t, registry.Config{
		Pool: newPool(t, cfg), Keyring: newKeyring(t, 1), PollInterval: 200 * time.Millisecond,
	})}
	rec, _ := behind.follow(t)
	rec.wait(t, id, 2)
	must(t, f.Suspend(t.Context(), id))
	rec.wait(t, id, 3)
}
