package registry_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// revoking is a cache that receives closed sessions too.
type revoking struct {
	cache
	closed chan string
}

func (r revoking) Revoke(session string) { r.closed <- session }

// Guards: after a registry lost changes, the follower reported the epochs that it went back to, which evict nothing. It
// did not notice at all a registry with as many other changes in their place. A resolver served lost records until they
// failed.
func TestARegistryThatLostChangesIsServedAsItIs(t *testing.T) {
	t.Parallel()
	const lost = 3
	for how, others := range map[string]int{"went back": 0, "as many others": lost, "more others": lost + 2} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, pollEvery(10*time.Millisecond))
			id := f.active(t, "acme")
			resolver, err := tenancy.New(tenancy.Config{Directory: f, Base: f.pool.Config(), TTL: -1, IdleTimeout: -1})
			must(t, err)
			t.Cleanup(func() { must(t, resolver.Close(context.WithoutCancel(t.Context()))) })
			told := revoking{cache{newRecorder(), resolver}, make(chan string, 100)}
			f.tell(t, told)
			for range lost {
				must(t, f.SetPassword(t.Context(), id, tenancy.NewSecret("new")))
			}
			told.wait(t, id, 2+lost)
			if got := epochOf(t, resolver, id); got != 2+lost {
				t.Fatalf("epoch %d before", got)
			}
			// In one transaction, so that it is seen at once.
			must(t, pgx.BeginFunc(t.Context(), f.pool, func(tx pgx.Tx) error {
				var b pgx.Batch
				b.Queue(`UPDATE pgtenancy.tenants SET epoch = 2 WHERE id = $1`, id)
				b.Queue(`UPDATE pgtenancy.feed SET version = version - $1`, lost)
				b.Queue(`DELETE FROM pgtenancy.changes c USING pgtenancy.feed f WHERE c.version > f.version`)
				for range others {
					b.Queue(`WITH f AS (UPDATE pgtenancy.feed SET version = version + 1 RETURNING version)
						INSERT INTO pgtenancy.changes (version, tenant_id, epoch, session) SELECT version, 'acme', 0, 'theirs' FROM f`)
				}
				return tx.SendBatch(t.Context(), &b).Close()
			}))
			eventually(t, "served as it is", func() bool { return epochOf(t, resolver, id) == 2 })
			for range others {
				select {
				case <-told.closed:
				case <-time.After(time.Minute):
					t.Fatal("never told of a session that was closed meanwhile")
				}
			}
			must(t, f.Suspend(t.Context(), id))
			eventually(t, "suspended", func() bool {
				l, err := resolver.Acquire(t.Context(), id)
				if err == nil {
					l.Release()
				}
				return errors.Is(err, tenancy.ErrSuspended)
			})
		})
	}
}

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
