package pglock_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pglock"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func connect(t *testing.T) *pgx.Conn {
	t.Helper()
	conn, err := pgx.ConnectConfig(t.Context(), pgtest.Admin(t))
	must(t, err)
	t.Cleanup(func() {
		ctx := context.Background()
		_ = conn.Close(ctx)
		<-conn.PgConn().CleanupDone()
	})
	return conn
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestLockKeepsOthersOutUntilUnlock(t *testing.T) {
	t.Parallel()
	a, b := connect(t), connect(t)
	must(t, pglock.Lock(t.Context(), a, "one"))
	if ok, err := pglock.TryLock(t.Context(), b, "one"); ok || err != nil {
		t.Fatalf("taken twice: %v, %v", ok, err)
	}
	if ok, err := pglock.TryLock(t.Context(), b, "two"); !ok || err != nil {
		t.Fatalf("another name: %v, %v", ok, err)
	}
	must(t, pglock.Unlock(t.Context(), a, "one"))
	if ok, err := pglock.TryLock(t.Context(), b, "one"); !ok || err != nil {
		t.Fatalf("after unlock: %v, %v", ok, err)
	}
}

// The names are chosen so that both signs of a key are tried.
func TestLockEvictingStaleEndsAnIdleHolder(t *testing.T) {
	t.Parallel()
	signs := map[bool]bool{}
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		signs[pglock.Key(name) < 0] = true
		a, b := connect(t), connect(t)
		must(t, pglock.Lock(t.Context(), a, name))
		must(t, pglock.LockEvictingStale(t.Context(), b, name))
		if _, err := a.Exec(t.Context(), "SELECT 1"); err == nil {
			t.Error("the holder may still work")
		}
	}
	if len(signs) != 2 {
		t.Error("keys of one sign only")
	}
}

func TestLockEvictingStaleLeavesHoldersOfOtherNamesAlone(t *testing.T) {
	t.Parallel()
	a, b, c := connect(t), connect(t), connect(t)
	must(t, pglock.Lock(t.Context(), a, "mine"))
	must(t, pglock.Lock(t.Context(), b, "theirs"))
	must(t, pglock.LockEvictingStale(t.Context(), c, "mine"))
	_, err := b.Exec(t.Context(), "SELECT 1")
	must(t, err)
}

func TestLockEvictingStaleWaitsForAStatement(t *testing.T) {
	t.Parallel()
	a, b, watch := connect(t), connect(t), connect(t)
	must(t, pglock.Lock(t.Context(), a, "busy"))
	slow := make(chan error, 1)
	go func() {
		_, err := a.Exec(t.Context(), "SELECT pg_sleep(0.3)")
		slow <- err
	}()
	waitActive(t, watch, a.PgConn().PID())
	must(t, pglock.LockEvictingStale(t.Context(), b, "busy"))
	must(t, pgtest.Receive(t, "the statement ends", slow))
}

func waitActive(t *testing.T, watch *pgx.Conn, pid uint32) {
	t.Helper()
	pgtest.Eventually(t, "the statement runs", func() (active bool) {
		must(t, watch.QueryRow(t.Context(),
			"SELECT state = 'active' AND query LIKE '%pg_sleep%' FROM pg_stat_activity WHERE pid = $1", pid).Scan(&active))
		return active
	})
}

func TestLockEvictingStaleGivesUpWithItsContext(t *testing.T) {
	t.Parallel()
	a, b, watch := connect(t), connect(t), connect(t)
	must(t, pglock.Lock(t.Context(), a, "long"))
	ctx, cancel := context.WithCancel(t.Context())
	slow := make(chan struct{})
	go func() {
		defer close(slow)
		_, _ = a.Exec(ctx, "SELECT pg_sleep(60)")
	}()
	waitActive(t, watch, a.PgConn().PID())
	short, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	if err := pglock.LockEvictingStale(short, b, "long"); err == nil {
		t.Error("seized from a running statement")
	}
	cancel()
	pgtest.Receive(t, "the statement ends", slow)
}

// TestLockEvictingIdleEndsOnlyAHolderThatIsIdleForLong guards against waiting for ever for a process that was stopped,
// and against taking the lock from a process that shows life.
func TestLockEvictingIdleEndsOnlyAHolderThatIsIdleForLong(t *testing.T) {
	t.Parallel()
	const idle = 300 * time.Millisecond
	for state, begin := range map[string]string{"idle": "SELECT 1", "in a transaction": "BEGIN"} {
		a, b := connect(t), connect(t)
		must(t, pglock.Lock(t.Context(), a, state))
		_, err := a.Exec(t.Context(), begin)
		must(t, err)
		began := time.Now()
		must(t, pglock.LockEvictingIdle(t.Context(), b, state, idle))
		if took := time.Since(began); took < idle {
			t.Errorf("%s: the holder was idle for %v only", state, took)
		}
		if _, err := a.Exec(t.Context(), "SELECT 1"); err == nil {
			t.Errorf("%s: the holder may still work", state)
		}
	}
}

func TestLockEvictingIdleWaitsForAHolderThatShowsLife(t *testing.T) {
	t.Parallel()
	const idle = 600 * time.Millisecond
	a, b := connect(t), connect(t)
	must(t, pglock.Lock(t.Context(), a, "lively"))
	ended := make(chan error, 1)
	began := time.Now()
	go func() { ended <- pglock.LockEvictingIdle(t.Context(), b, "lively", idle) }()
	beat := time.NewTicker(idle / 12)
	defer beat.Stop()
	for time.Since(began) < 2*idle {
		<-beat.C
		must(t, a.Ping(t.Context()))
	}
	if len(ended) > 0 {
		t.Fatalf("taken: %v", <-ended)
	}
	must(t, pglock.Unlock(t.Context(), a, "lively"))
	must(t, pgtest.Receive(t, "the lock is taken", ended))
	if ok, err := pglock.TryLock(t.Context(), a, "lively"); ok || err != nil {
		t.Errorf("taken twice: %v, %v", ok, err)
	}
}

func TestLockEvictingIdleWaitsForAStatementAsLongAsItsContext(t *testing.T) {
	t.Parallel()
	a, b, watch := connect(t), connect(t), connect(t)
	must(t, pglock.Lock(t.Context(), a, "slow"))
	ctx, cancel := context.WithCancel(t.Context())
	slow := make(chan struct{})
	go func() {
		defer close(slow)
		_, _ = a.Exec(ctx, "SELECT pg_sleep(60)")
	}()
	waitActive(t, watch, a.PgConn().PID())
	short, stop := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer stop()
	if err := pglock.LockEvictingIdle(short, b, "slow", 10*time.Millisecond); err == nil {
		t.Error("taken from a running statement")
	}
	cancel()
	pgtest.Receive(t, "the statement ends", slow)
}
