package split_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/examples/split"
	"github.com/pgtenancy/pgtenancy/fleet"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/middleware"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/provision/atlas"
	"github.com/pgtenancy/pgtenancy/registry/keyring"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// TestOrganizationsMoveWhileTheirWritersGoOn moves three organizations out of one database, each with a writer that
// never stops, and fails to move a fourth. Every note that was answered must be in its organization's database, once.
func TestOrganizationsMoveWhileTheirWritersGoOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	orgs := []string{"Acme Inc.", "org_2abcDEFghi", "münchen"}
	for _, org := range append(orgs, "broken") {
		w.add(t, org)
	}
	exec(t, w.shared.Pool, `INSERT INTO notes (org, project, text)
		SELECT 'broken', id, '' FROM projects WHERE org = 'broken'`)
	writers := map[string]*writer{}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for _, org := range append(orgs, "broken") {
		one := &writer{world: w, org: org}
		writers[org] = one
		wg.Go(func() { one.run(ctx, t) })
	}
	defer wg.Wait()
	defer stop()
	for _, org := range orgs {
		w.more(t, writers[org])
		must(t, w.shared.Move(t.Context(), w.fleet.Provisioner(), w.fleet.Registry(), org))
		w.more(t, writers[org]) // in its own database
		must(t, w.shared.Move(t.Context(), w.fleet.Provisioner(), w.fleet.Registry(), org))
	}
	if err := w.shared.Move(t.Context(), w.fleet.Provisioner(), w.fleet.Registry(), "broken"); err == nil {
		t.Error("a row that the new schema refuses has moved")
	}
	w.more(t, writers["broken"]) // where it was
	stop()
	pgtest.Wait(t, "the writers end", wg.Wait)

	for _, org := range append(orgs, "broken") {
		pool, own, release, err := split.Pool(t.Context(), w.fleet.Resolver(), w.shared.Pool, org)
		must(t, err)
		if own != (org != "broken") {
			t.Errorf("%s: in a database of its own: %t", org, own)
		}
		query := "SELECT text FROM notes WHERE text <> '' ORDER BY id"
		if !own {
			query = "SELECT text FROM notes WHERE text <> '' AND org = 'broken' ORDER BY id"
		}
		rows, _ := pool.Query(t.Context(), query)
		notes, err := pgx.CollectRows(rows, pgx.RowTo[string])
		must(t, err)
		if got, want := strings.Join(notes, "\n"), strings.Join(writers[org].answered, "\n"); got != want {
			t.Errorf("%s: %d notes, %d were answered", org, len(notes), len(writers[org].answered))
		}
		release()
	}
	var left int
	must(t, w.shared.Pool.QueryRow(t.Context(), `SELECT count(*) FROM notes n WHERE NOT EXISTS (
		SELECT FROM organizations o WHERE o.id = n.org AND (o.moved OR o.id = 'broken'))`).Scan(&left))
	if left != 0 {
		t.Errorf("%d notes of organizations that are not moved", left)
	}
}

// world is a shared database, and a fleet beside it.
type world struct {
	shared *split.Shared
	fleet  *fleet.Fleet
}

func newWorld(t *testing.T) *world {
	t.Helper()
	pool, err := pgxpool.NewWithConfig(context.WithoutCancel(t.Context()), pgtest.Database(t))
	must(t, err)
	t.Cleanup(pool.Close)
	for _, file := range []string{"shared.sql", "lock.sql"} {
		exec(t, pool, read(t, file))
	}
	w := &world{shared: &split.Shared{Pool: pool, Tables: []string{"projects", "notes"}, Column: "org"}}
	keys := filepath.Join(t.TempDir(), "keys.json")
	must(t, keyring.CreateFile(keys))
	schema, err := atlas.SQL(atlas.Config{Text: read(t, "tenant.sql")})
	must(t, err)
	admin := pgtest.Database(t)
	admin.ConnConfig.Database = pgtest.Admin(t).Database
	w.fleet, err = fleet.Open(t.Context(), fleet.Config{
		RegistryConfig: pgtest.Database(t), KeysFile: keys, Servers: []fleet.Server{{AdminConfig: admin}}, Schema: schema,
		Prefix:        "s" + strings.ToLower(rand.Text()[:8]) + "_",
		EditProvision: func(c *provision.Config) { c.Seed = w.shared.Seed },
	})
	must(t, err)
	t.Cleanup(func() { must(t, w.fleet.Close(pgtest.Context(t))) })
	return w
}

// add makes an organization with a project, in the shared database.
func (w *world) add(t *testing.T, org string) {
	t.Helper()
	exec(t, w.shared.Pool, "INSERT INTO organizations VALUES ($1, $1)", org)
	exec(t, w.shared.Pool, "INSERT INTO projects (org, name) VALUES ($1, 'first')", org)
}

// more waits until a writer has written twenty notes more.
func (w *world) more(t *testing.T, writer *writer) {
	t.Helper()
	goal := writer.written.Load() + 20
	pgtest.Eventually(t, writer.org+" is written to", func() bool { return writer.written.Load() >= goal })
}

// writer writes notes of one organization, one after another, as requests of the service would.
type writer struct {
	*world
	org      string
	answered []string // the notes whose writing was answered; read it when run has returned
	written  atomic.Int64
}

func (w *writer) run(ctx context.Context, t *testing.T) {
	pace := time.NewTicker(5 * time.Millisecond) // a writer that is refused must not keep the processor from the rest
	defer pace.Stop()
	for n := 0; ctx.Err() == nil; <-pace.C {
		text := fmt.Sprintf("%s %d", w.org, n)
		// A note that was begun is finished: else it would not be known whether it is there.
		if err := w.write(context.WithoutCancel(ctx), text); err == nil {
			w.answered = append(w.answered, text)
			w.written.Add(1)
			n++
		} else if !isMoving(err) {
			t.Errorf("%s: %v", w.org, err)
			return
		}
	}
}

func (w *writer) write(ctx context.Context, text string) error {
	pool, own, release, err := split.Pool(ctx, w.fleet.Resolver(), w.shared.Pool, w.org)
	if err != nil {
		return err
	}
	defer release()
	if own {
		_, err = pool.Exec(ctx, "INSERT INTO notes (project, text) SELECT id, $1 FROM projects", text)
		return err
	}
	_, err = pool.Exec(ctx, "INSERT INTO notes (org, project, text) SELECT org, id, $1 FROM projects WHERE org = $2", text, w.org)
	return err
}

// isMoving reports whether a request may be sent again: it was refused by the lock, or by the resolver with a 503 or,
// while a failed move is undone, with a 404.
func isMoving(err error) bool {
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pgErr.Code == "55000"
	}
	status := middleware.StatusCode(err)
	return status == http.StatusServiceUnavailable || status == http.StatusNotFound
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	must(t, err)
	return string(text)
}

func exec(t *testing.T, pool *pgxpool.Pool, sql string, args ...any) {
	t.Helper()
	if len(args) == 0 {
		args = []any{pgx.QueryExecModeSimpleProtocol}
	}
	_, err := pool.Exec(t.Context(), sql, args...)
	must(t, err)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
