package provision_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// router is a resolver that follows the registry, and counts the renewals that it was told of.
type router struct {
	*tenancy.Resolver
	renewed atomic.Int64
}

func (r *router) Renew(id tenancy.ID) {
	r.Resolver.Renew(id)
	r.renewed.Add(1)
}

func (f *fixture) router(t *testing.T) *router {
	t.Helper()
	r := &router{Resolver: f.resolver(t, f.reg)}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.reg.Follow(ctx, r) }()
	t.Cleanup(func() { cancel(); must(t, <-done) })
	return r
}

const mood = "CREATE TYPE mood AS ENUM ('good'); CREATE TABLE moods (id int, m mood)"

// upgrades are what changes under the statements that connections have prepared.
func upgrades() map[string]*sqlSchema {
	return map[string]*sqlSchema{
		"a column more": {
			build:   members + "; " + mood + "; ALTER TABLE moods ADD COLUMN nick text",
			upgrade: "ALTER TABLE moods ADD COLUMN nick text",
		},
		"a type anew": {
			build: members + "; CREATE TYPE mood AS ENUM ('good', 'bad'); CREATE TABLE moods (id int, m mood)",
			upgrade: `ALTER TYPE mood RENAME TO was; CREATE TYPE mood AS ENUM ('good', 'bad');
				ALTER TABLE moods ALTER COLUMN m TYPE mood USING m::text::mood; DROP TYPE was`,
		},
	}
}

func TestNoQueryFailsOnceAnUpgradeHasArrived(t *testing.T) {
	t.Parallel()
	for name, next := range upgrades() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.schema = &sqlSchema{build: members + "; " + mood}
			f.create(t, f.provisioner(t), "acme")
			r := f.router(t)
			lease, err := r.Acquire(t.Context(), "acme")
			must(t, err)
			defer lease.Release()
			ask := func(c *pgxpool.Conn) error {
				rows, err := c.Query(t.Context(), "SELECT *, $1::mood FROM moods", "good")
				if err == nil {
					rows.Close()
					err = rows.Err()
				}
				return err
			}
			all := func() (conns []*pgxpool.Conn) {
				for range 4 {
					c, err := lease.Pool().Acquire(t.Context())
					must(t, err)
					conns = append(conns, c)
				}
				return conns
			}
			conns := all()
			for _, c := range conns {
				must(t, ask(c))
			}
			tx, err := conns[0].Begin(t.Context()) // in flight
			must(t, err)
			_, err = tx.Exec(t.Context(), "INSERT INTO members (name) VALUES ('ann')")
			must(t, err)
			for _, c := range conns[1:] {
				c.Release()
			}
			f.schema = next
			_, err = f.provisioner(t).Upgrade(t.Context(), "acme", provision.Policy{})
			must(t, err)
			eventually(t, "told before the commit, and with the stamp", func() bool { return r.renewed.Load() == 2 })
			if _, err := tx.Exec(t.Context(), "INSERT INTO members (name) VALUES ('bob')"); err != nil {
				t.Errorf("the transaction in flight: %v", err)
			}
			must(t, tx.Commit(t.Context()))
			conns[0].Release()
			conns = all()
			for _, c := range conns {
				if err := ask(c); err != nil {
					t.Errorf("a query after the upgrade arrived: %v", err)
				}
				c.Release()
			}
			if lease.Err() != nil {
				t.Errorf("the lease is over: %v", lease.Err())
			}
		})
	}
}

// What waits at the upgrade's locks on a connection that has prepared it fails once, and nothing else does.
func TestUpgradeUnderTrafficFailsNothingButWhatWaitsForIt(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.schema = &sqlSchema{build: members + "; " + mood}
	f.create(t, f.provisioner(t), "acme")
	r := f.router(t)
	const workers = 4
	var asked, failed atomic.Int64
	stop := make(chan struct{})
	var users sync.WaitGroup
	for range workers {
		users.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				err := r.AcquireFunc(t.Context(), "acme", func(ctx context.Context, pool *pgxpool.Pool) error {
					rows, err := pool.Query(ctx, "SELECT * FROM moods")
					if err == nil {
						rows.Close()
						err = rows.Err()
					}
					return err
				})
				if asked.Add(1); err != nil {
					failed.Add(1)
					t.Logf("failed: %v", err)
				}
			}
		})
	}
	upgraded := upgrades()["a column more"]
	eventually(t, "at work", func() bool { return asked.Load() > 100 })
	f.schema = upgraded
	began := time.Now()
	_, err := f.provisioner(t).Upgrade(t.Context(), "acme", provision.Policy{})
	took := time.Since(began)
	must(t, err)
	eventually(t, "told", func() bool { return r.renewed.Load() == 2 })
	after := asked.Load()
	eventually(t, "at work again", func() bool { return asked.Load() > after+100 })
	close(stop)
	users.Wait()
	if failed.Load() > workers {
		t.Errorf("%d of %d queries failed; %d connections could be in use", failed.Load(), asked.Load(), workers)
	}
	pgtest.Figure(t, "P15", "upgrade that adds a column under %d workers, %v: %d of %d queries failed",
		workers, took.Round(time.Millisecond), failed.Load(), asked.Load())
}
