package registry_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// recorder is an Invalidator that keeps every epoch it was told of.
type recorder struct {
	mu   sync.Mutex // guards seen
	seen map[tenancy.ID]map[int64]int
	news chan struct{} // has room for one: something was told
}

func newRecorder() *recorder {
	return &recorder{seen: make(map[tenancy.ID]map[int64]int), news: make(chan struct{}, 1)}
}

func (r *recorder) Invalidate(id tenancy.ID, epoch int64) {
	r.mu.Lock()
	if r.seen[id] == nil {
		r.seen[id] = make(map[int64]int)
	}
	r.seen[id][epoch]++
	r.mu.Unlock()
	select {
	case r.news <- struct{}{}:
	default:
	}
}

func (r *recorder) has(id tenancy.ID, epoch int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen[id][epoch] > 0
}

// wait returns when r was told of id's epoch.
func (r *recorder) wait(t testing.TB, id tenancy.ID, epoch int64) {
	t.Helper()
	deadline := time.After(time.Minute)
	for !r.has(id, epoch) {
		select {
		case <-r.news:
		case <-deadline:
			t.Fatalf("never told of %q at epoch %d", id, epoch)
		}
	}
}

// follow runs Follow until the test or stop ends it.
func (f *fixture) follow(t testing.TB) (rec *recorder, stop func()) {
	t.Helper()
	rec = newRecorder()
	return rec, f.tell(t, rec)
}

// tell runs Follow for inv until the test or stop ends it.
func (f *fixture) tell(t testing.TB, inv registry.Invalidator) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- f.Follow(ctx, inv) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := pgtest.Receive(t, "Follow ends", done); err != nil {
			t.Errorf("Follow: %v, want nil", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func pollEvery(d time.Duration) func(*pgxpool.Config, *registry.Config) {
	return func(_ *pgxpool.Config, cfg *registry.Config) { cfg.PollInterval = d }
}

func TestFollowTellsOfEveryKindOfChange(t *testing.T) {
	t.Parallel()
	f := newFixture(t, pollEvery(time.Hour)) // notifications alone
	rec, stop := f.follow(t)
	f.active(t, "first")
	rec.wait(t, "first", 2) // it listens

	id := f.active(t, "acme")
	must(t, f.Suspend(t.Context(), id))
	must(t, f.Resume(t.Context(), id))
	must(t, f.SetPassword(t.Context(), id, tenancy.NewSecret("new")))
	must(t, f.PutServer(t.Context(), registry.Server{Name: "s1", Host: "elsewhere", Port: 1}))
	c, err := f.BeginDelete(t.Context(), id, "o", time.Minute)
	must(t, err)
	must(t, f.Forget(t.Context(), c))
	must(t, f.Fail(t.Context(), f.reserve(t, "poor"), "no reason"))
	rec.wait(t, "poor", 2)
	for epoch := int64(1); epoch <= 8; epoch++ {
		if !rec.has(id, epoch) {
			t.Errorf("not told of epoch %d", epoch)
		}
	}
	stop()
	if n := rec.seen[id][8]; n != 1 {
		t.Errorf("told %d times of one change", n)
	}
}

func TestFollowTellsOfWhatChangedSinceNew(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.active(t, "acme")
	rec, _ := f.follow(t)
	rec.wait(t, "acme", 2)
}

// It polls more often than a fresh connection answers. That guards against the interval as the bound of a statement,
// with which a follower of a busy registry never got through.
func TestThePollFindsWhatNoNotificationTold(t *testing.T) {
	t.Parallel()
	f := newFixture(t, pollEvery(time.Millisecond))
	id := f.active(t, "acme")
	rec, _ := f.follow(t)
	rec.wait(t, id, 2)
	f.exec(t, `WITH c AS (UPDATE pgtenancy.feed SET version = version + 1 RETURNING version)
		INSERT INTO pgtenancy.changes (version, tenant_id, epoch) SELECT version, 'acme', 77 FROM c`)
	rec.wait(t, id, 77)
}

func TestAStrangersNotificationDoesNoHarm(t *testing.T) {
	t.Parallel()
	f := newFixture(t, pollEvery(time.Hour))
	id := f.active(t, "acme")
	rec, _ := f.follow(t)
	rec.wait(t, id, 2)
	for _, payload := range []string{"", "x", "1 2", "9999999 acme 99", "-1 acme 98", "1 acme x"} {
		f.exec(t, `SELECT pg_notify('pgtenancy_changes', $1)`, payload)
	}
	must(t, f.Suspend(t.Context(), id))
	rec.wait(t, id, 3)
	if rec.has(id, 99) || rec.has(id, 98) {
		t.Error("told of what never changed")
	}
}

func TestAFollowerThatWasAwayLongerThanChangesAreKeptHearsOfEveryTenant(t *testing.T) {
	t.Parallel()
	f := newFixture(t, pollEvery(10*time.Millisecond))
	gone := f.active(t, "gone")
	f.active(t, "acme")
	rec, _ := f.follow(t)
	rec.wait(t, "acme", 2)
	// In one transaction, so that the follower sees only that the changes in between are missing.
	f.exec(t, `WITH feed AS (UPDATE pgtenancy.feed SET version = version + 10 RETURNING version),
		newest AS (INSERT INTO pgtenancy.changes (version, tenant_id, epoch) SELECT version, 'other', 1 FROM feed),
		tenants AS (UPDATE pgtenancy.tenants SET epoch = 50 WHERE id = 'acme'),
		retired AS (INSERT INTO pgtenancy.retired_ids (id, epoch) VALUES ('gone', 60))
		SELECT 1`)
	rec.wait(t, "acme", 50)
	rec.wait(t, gone, 60)
	must(t, f.Suspend(t.Context(), "acme"))
	rec.wait(t, "acme", 51)
}

// cache is a resolver beside a recorder; both receive changes.
type cache struct {
	*recorder
	resolver *tenancy.Resolver
}

func (c cache) Invalidate(id tenancy.ID, epoch int64) {
	c.resolver.Invalidate(id, epoch)
	c.recorder.Invalidate(id, epoch)
}

func TestFollowMissesNothingWhileItsListenerIsKilled(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const writers = 4
	changes, atLeast := pgtest.Size[int64](60, 2_500), pgtest.Size[int64](8, 100)
	for i := range writers {
		f.active(t, name("t%d", i))
	}
	// The follower has a pool of its own, to be told from the others, and no backstop: what it misses stays missed.
	cfg := f.pool.Config()
	cfg.ConnConfig.RuntimeParams["application_name"] = "follower"
	follower := &fixture{Registry: newRegistry(t, registry.Config{
		Pool: newPool(t, cfg), Keyring: newKeyring(t, 1), PollInterval: time.Hour,
	})}
	// Nor has the resolver, which is asked all the time and dials nothing.
	resolver, err := tenancy.New(tenancy.Config{Directory: f, Base: f.pool.Config(), TTL: -1, IdleTimeout: -1})
	must(t, err)
	defer func() { must(t, resolver.Close(context.WithoutCancel(t.Context()))) }()
	told := cache{newRecorder(), resolver}
	defer follower.tell(t, told)()
	told.wait(t, "t0", 2)

	var kills atomic.Int64
	var epochs [writers]int64
	ctx, cancel := context.WithCancel(t.Context())
	var others sync.WaitGroup
	others.Go(func() { f.killFollower(ctx, &kills) })
	for i := range writers {
		others.Go(func() {
			for ctx.Err() == nil {
				epochOf(t, resolver, tenancy.ID(name("t%d", i)))
			}
		})
	}
	must(t, errors.Join(concurrently(writers, func(i int) error {
		id := tenancy.ID(name("t%d", i))
		for epochs[i] = 2; epochs[i] < 2+changes || kills.Load() < atLeast; epochs[i]++ {
			if err := f.SetPassword(t.Context(), id, tenancy.NewSecret("new")); err != nil {
				return err
			}
		}
		return nil
	})...))
	cancel()
	pgtest.Wait(t, "the others end", others.Wait)
	var written, missed, stale int64
	for i, last := range epochs {
		id := tenancy.ID(name("t%d", i))
		told.wait(t, id, last)
		for epoch := int64(1); epoch <= last; epoch++ {
			if !told.has(id, epoch) {
				t.Errorf("missed epoch %d of %q", epoch, id)
				missed++
			}
		}
		if got := epochOf(t, resolver, id); got != last {
			t.Errorf("the resolver serves epoch %d of %q, the table has %d", got, id, last)
			stale++
		}
		written += last - 2
	}
	pgtest.Figure(t, "R8", "%d changes while the listener was killed %d times: %d missed, %d of %d caches differ from "+
		"the table",
		written, kills.Load(), missed, stale, writers)
}

// epochOf returns the epoch of the record that r leases.
func epochOf(t testing.TB, r *tenancy.Resolver, id tenancy.ID) int64 {
	l, err := r.Acquire(context.WithoutCancel(t.Context()), id)
	if err != nil {
		t.Errorf("acquire: %v", err)
		return 0
	}
	defer l.Release()
	return l.Tenant().Epoch
}

// killFollower terminates the follower's backend as often as there is one, until ctx ends.
func (f *fixture) killFollower(ctx context.Context, kills *atomic.Int64) {
	for {
		var killed int64
		if err := f.pool.QueryRow(ctx, `SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity
			WHERE datname = current_database() AND application_name = 'follower'`).Scan(&killed); err != nil {
			return
		}
		kills.Add(killed)
	}
}

func TestFollowPurgesWhatIsOlderThanADay(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.active(t, "acme")
	_, _ = f.open(t, "acme")
	f.exec(t, `UPDATE pgtenancy.sessions SET expires_at = now() - interval '25 hours'`)
	_, live := f.open(t, "acme")
	f.exec(t, `UPDATE pgtenancy.changes SET changed_at = now() - interval '25 hours'`)
	must(t, f.Suspend(t.Context(), "acme"))
	must(t, f.Resume(t.Context(), "acme"))
	rec, stop := f.follow(t)
	rec.wait(t, "acme", 4)
	deadline := time.After(time.Minute)
	for f.count(t, "pgtenancy.sessions") != 1 { // they go after the changes
		select {
		case <-deadline:
			t.Fatal("the sessions were not purged")
		case <-time.After(10 * time.Millisecond):
		}
	}
	stop()
	if n := f.count(t, "pgtenancy.changes"); n != 2 {
		t.Errorf("%d changes left, want 2", n)
	}
	must(t, f.Suspend(t.Context(), "acme"))
	must(t, f.Resume(t.Context(), "acme"))
	f.rotate(t, live)
}

// Guards: of more than a batch, a thousand went every ten minutes, so that the tables grew for ever.
func TestFollowPurgesBatchAfterBatch(t *testing.T) {
	t.Parallel()
	for table, fill := range map[string]string{
		"changes": `INSERT INTO pgtenancy.changes (version, tenant_id, epoch, changed_at)
			SELECT n - 5000, 'old', 1, now() - interval '25 hours' FROM generate_series(1, 2500) n`,
		"sessions": `INSERT INTO pgtenancy.sessions (id, tenant_id, admin_id, secret, counter, expires_at)
			SELECT n::text, 'acme', 'admin-acme', '', 1, now() - interval '25 hours' FROM generate_series(1, 2500) n`,
	} {
		t.Run(table, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, pollEvery(10*time.Millisecond))
			f.active(t, "acme")
			before := f.count(t, "pgtenancy."+table)
			f.exec(t, fill)
			f.follow(t)
			eventually(t, "purged", func() bool { return f.count(t, "pgtenancy."+table) == before })
		})
	}
}

// revoker is a recorder that receives closed sessions too.
type revoker struct {
	*recorder
	closed chan string
}

func (r *revoker) Revoke(session string) { r.closed <- session }

func TestFollowTellsARevokerOfClosedSessions(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.active(t, "acme")
	before, _ := f.open(t, "acme")
	must(t, f.CloseSession(t.Context(), before.ID)) // by a process that ended before this one began
	r := &revoker{recorder: newRecorder(), closed: make(chan string, 10)}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.Follow(ctx, r) }()
	defer func() { cancel(); must(t, pgtest.Receive(t, "Follow ends", done)) }()

	wantClosed := func(how string, sessions ...string) {
		t.Helper()
		for range sessions {
			select {
			case got := <-r.closed:
				if !slices.Contains(sessions, got) {
					t.Errorf("%s: told of %q, want one of %q", how, got, sessions)
				}
			case <-time.After(time.Minute):
				t.Fatalf("%s: never told", how)
			}
		}
	}
	wantClosed("before", before.ID)
	signedOut, _ := f.open(t, "acme")
	must(t, f.CloseSession(t.Context(), signedOut.ID))
	wantClosed("signed out", signedOut.ID)

	one, first := f.open(t, "acme")
	f.rotate(t, f.rotate(t, first))
	_, _, err := f.RotateSession(t.Context(), first, 0)
	if !errors.Is(err, catalog.ErrSessionReused) {
		t.Fatal(err)
	}
	wantClosed("reused", one.ID)

	two, _ := f.open(t, "acme")
	three, _ := f.open(t, "acme")
	must(t, f.CloseSessions(t.Context(), "admin-acme", ""))
	wantClosed("all of an admin", two.ID, three.ID)
	if r.has("acme", 0) {
		t.Error("a closed session was told as a change of its tenant")
	}
}
