package registry_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/internal/regdb"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// afterRead calls a function once, when Follow's first read has ended and before Follow knows.
type afterRead struct {
	call func()
	once sync.Once
}

type readKey struct{}

func (a *afterRead) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	return context.WithValue(ctx, readKey{}, strings.Contains(q.SQL, "pgtenancy.changes c ON"))
}

func (a *afterRead) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryEndData) {
	if ctx.Value(readKey{}) == true {
		a.once.Do(a.call)
	}
}

// A change that is committed right after the first read is notified to a session that listens already. With the read
// first and LISTEN after it, it would be missed until the next poll.
func TestChangeRightAfterTheFirstReadIsNotMissed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id := f.active(t, "acme")
	cfg := f.pool.Config()
	cfg.ConnConfig.Tracer = &afterRead{call: func() {
		if err := f.Suspend(context.WithoutCancel(t.Context()), id); err != nil {
			t.Error(err)
		}
	}}
	follower := &fixture{Registry: newRegistry(t, registry.Config{
		Pool: newPool(t, cfg), Keyring: newKeyring(t, 1), PollInterval: time.Hour,
	})}
	rec, _ := follower.follow(t)
	rec.wait(t, id, 3)
}

// Versions commit in the order of their numbers and without gaps, because a writer that has taken one makes the next
// writer wait until it is committed. Otherwise a follower that has read the second would never look for the first.
func TestWriterWaitsForTheVersionBeforeItsOwn(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(_ *pgxpool.Config, cfg *registry.Config) { cfg.PollInterval = 10 * time.Millisecond })
	first, second := f.active(t, "first"), f.active(t, "second")
	rec, _ := f.follow(t)
	rec.wait(t, second, 2)
	tx, err := f.pool.Begin(t.Context())
	must(t, err)
	defer tx.Rollback(context.WithoutCancel(t.Context()))
	_, err = tx.Exec(t.Context(), `WITH changed AS (UPDATE pgtenancy.tenants SET epoch = epoch + 1 WHERE id = $1
		RETURNING id, epoch)`+
		regdb.Publish, first)
	must(t, err)
	done := make(chan error, 1)
	go func() { done <- f.SetPassword(t.Context(), second, tenancy.NewSecret("new")) }()
	eventually(t, "waiting", func() bool {
		return len(done) > 0 || f.count(t, `pg_stat_activity WHERE datname = current_database() AND wait_event_type =
			'Lock'`) > 0
	})
	if len(done) > 0 || rec.has(second, 3) {
		t.Error("the second change is committed before the first")
	}
	must(t, tx.Commit(t.Context()))
	must(t, pgtest.Receive(t, "the second change ends", done))
	rec.wait(t, first, 3)
	rec.wait(t, second, 3)
	var gaps int
	must(t, f.pool.QueryRow(t.Context(), `SELECT max(version) - min(version) + 1 - count(*) FROM
		pgtenancy.changes`).Scan(&gaps))
	if gaps != 0 {
		t.Errorf("%d versions are missing", gaps)
	}
}
