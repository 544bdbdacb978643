package registry_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// deadEnd makes a link a black hole for the first statement that has the given text in it.
type deadEnd struct {
	link *link
	text string
	once sync.Once
}

type deadEndKey struct{}

func (d *deadEnd) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	if strings.Contains(q.SQL, d.text) {
		d.once.Do(func() {
			d.link.hole.Store(true)
			ctx = context.WithValue(ctx, deadEndKey{}, true)
		})
	}
	return ctx
}

func (d *deadEnd) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryEndData) {
	if ctx.Value(deadEndKey{}) == true {
		d.link.hole.Store(false)
	}
}

// Guards: neither statement had a time-out, so that a connection that died under it stopped Follow until TCP noticed.
func TestFollowOutlivesAConnectionThatDiesSilently(t *testing.T) {
	t.Parallel()
	for _, statement := range []string{"LISTEN", "retired_ids"} {
		t.Run(statement, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.active(t, "acme")
			l, through := newLink(t)
			cfg := f.pool.Config()
			through.Database, through.Tracer = cfg.ConnConfig.Database, &deadEnd{link: l, text: statement}
			cfg.ConnConfig = through
			follower := &fixture{Registry: newRegistry(t, registry.Config{
				Pool: newPool(t, cfg), Keyring: newKeyring(t, 1), PollInterval: 10 * time.Millisecond,
			})}
			rec, _ := follower.follow(t)
			rec.wait(t, "acme", 2)
			f.exec(t, `WITH feed AS (UPDATE pgtenancy.feed SET version = version + 10) UPDATE pgtenancy.tenants SET epoch = 50`)
			rec.wait(t, "acme", 50)
		})
	}
}

// sluggish is an Invalidator that takes its time.
type sluggish struct {
	*recorder
	t    *testing.T
	told int
}

func (s *sluggish) Invalidate(id tenancy.ID, epoch int64) {
	if s.told++; s.told%1000 == 0 {
		pause(s.t, 100*time.Millisecond)
	}
	s.recorder.Invalidate(id, epoch)
}

// It takes longer than a statement may that reads changes.
func TestEveryTenantIsToldOfHoweverManyThereAre(t *testing.T) {
	t.Parallel()
	f := newFixture(t, pollEvery(10*time.Millisecond))
	f.active(t, "acme")
	f.exec(t, `INSERT INTO pgtenancy.retired_ids (id, epoch) SELECT 'gone' || n, 60 FROM generate_series(1, 25000) n`)
	s := &sluggish{recorder: newRecorder(), t: t}
	f.tell(t, s)
	s.wait(t, "acme", 2)
	f.exec(t, `UPDATE pgtenancy.feed SET version = version + 10`)
	s.wait(t, "gone25000", 60)
	must(t, f.Suspend(t.Context(), "acme"))
	s.wait(t, "acme", 3)
}
