package tenancy_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Random histories on pools that are never dialled, where time costs nothing: every lease and every refusal must be
// explained by what the directory said and the resolver was told.
func TestRandomHistoriesAreExplained(t *testing.T) {
	t.Parallel()
	runs, steps := pgtest.Size(1_000, 20_000), 50
	seed := rand.Uint64()
	for i := range runs {
		seed := seed + uint64(i)
		synctest.Test(t, func(t *testing.T) {
			homes := map[tenancy.ID][]string{}
			for i := range 5 {
				homes[nth(i)] = []string{fmt.Sprintf("a%d", i), fmt.Sprintf("b%d", i)}
			}
			m := newModel(t, seed, tenancy.Config{
				MaxPools: 3, CapacityWait: -1, TTL: 10 * time.Second, StaleGrace: time.Minute, NotFoundTTL: 5 * time.Second,
				IdleTimeout: 15 * time.Second, DrainTimeout: []time.Duration{-1, 20 * time.Second}[i%2],
			}, homes)
			m.settle, m.sleep = synctest.Wait, time.Sleep
			m.query = func(h *holding, _ time.Time) {
				if !open(t, h.Pool()) && !m.cut(h) {
					m.errorf("the pool of %s@%d is closed under its holder", h.id, h.Tenant().Epoch)
				}
			}
			for range steps {
				m.step()
			}
			m.end()
		})
		if t.Failed() {
			t.Fatalf("run %d, seed %d", i, seed)
		}
	}
	pgtest.Figure(t, "R16", "%d random histories of %d steps on pools that are not dialled: 0 violations", runs, steps)
}

// The same on PostgreSQL, with the databases' own tags: a fenced database serves no query, even if the resolver still
// knows it.
func TestRandomHistoriesOnPostgreSQLAreExplained(t *testing.T) {
	t.Parallel()
	runs, steps := pgtest.Size(4, 200), 30
	_, base, homes := homes(t, 4, 4)
	admin := connect(t)
	seed := rand.Uint64()
	var queries int
	for i := range runs {
		seed := seed + uint64(i)
		w := &fenced{admin: admin, marks: map[string]tenancy.OwnerTag{}}
		m := newModel(t, seed, tenancy.Config{
			Base: base, MaxPools: 3, CapacityWait: -1, TTL: 50 * time.Millisecond, StaleGrace: 10 * time.Second,
			NotFoundTTL: 20 * time.Millisecond, IdleTimeout: 100 * time.Millisecond, DrainTimeout: -1, Fence: true,
		}, homes)
		m.slack = 2 * time.Second // of a busy machine
		m.sleep = func(d time.Duration) { wait(t, d) }
		m.onChange = func(was, next version) { w.follow(t, was, next) }
		m.query = func(h *holding, _ time.Time) { queries++; w.query(m, h) }
		for id, own := range homes {
			for _, database := range own {
				w.mark(t, database, tenancy.OwnerTag{Tenant: id})
			}
		}
		for range steps {
			m.step()
		}
		m.end()
		if t.Failed() {
			t.Fatalf("run %d, seed %d", i, seed)
		}
	}
	pgtest.Figure(t, "R16", "%d random histories of %d steps on PostgreSQL, with fences, %d queries: 0 violations", runs,
		steps, queries)
}

// fenced keeps the marks of the databases in step with the model's versions.
type fenced struct {
	admin *pgx.Conn
	marks map[string]tenancy.OwnerTag
}

func (w *fenced) mark(t testing.TB, database string, m tenancy.OwnerTag) {
	t.Helper()
	w.marks[database] = m
	comment(t, w.admin, database, m)
}

// follow closes the database that the tenant leaves, and ends its sessions, before the directory names the next.
func (w *fenced) follow(t testing.TB, was, next version) {
	t.Helper()
	if stays := !next.gone && next.State == tenancy.Active && next.Endpoint == was.Endpoint; !stays {
		w.mark(t, was.Endpoint.Database, tenancy.OwnerTag{Tenant: next.ID, Epoch: next.Epoch, Fenced: true})
		_, err := w.admin.Exec(t.Context(), "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = "+
			"$1",
			was.Endpoint.Database)
		if err != nil {
			t.Fatal(err)
		}
	}
	if !next.gone && next.State == tenancy.Active {
		w.mark(t, next.Endpoint.Database, tenancy.OwnerTag{Tenant: next.ID, Epoch: next.Epoch})
	}
}

// query queries twice, because the first may meet a connection that was ended.
func (w *fenced) query(m *model, h *holding) {
	ctx, cancel := context.WithTimeout(m.t.Context(), time.Minute)
	defer cancel()
	mark := w.marks[h.Tenant().Endpoint.Database]
	// An older connection may live on while its database is open; a new one needs an epoch that the mark admits.
	admitted := !mark.Fenced && mark.Epoch <= h.Tenant().Epoch
	var err error
	for range 2 {
		var where string
		var whose tenancy.ID
		if where, whose, err = whereAmI(ctx, h.Pool()); err != nil {
			continue
		}
		switch {
		case where != h.Tenant().Endpoint.Database || whose != h.id:
			m.errorf("a lease of %s@%d reached %s of %s", h.id, h.Tenant().Epoch, where, whose)
		case mark.Fenced:
			m.errorf("%s answered %s@%d although it is fenced at %d", where, h.id, h.Tenant().Epoch, mark.Epoch)
		}
		return
	}
	if admitted {
		m.errorf("query of %s@%d: %v", h.id, h.Tenant().Epoch, err)
	}
}
