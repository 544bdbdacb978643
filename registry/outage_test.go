package registry_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/registry"
)

// lines are those of a log.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

func (l lines) next(t *testing.T, want string) {
	t.Helper()
	select {
	case line := <-l:
		if !strings.Contains(line, want) || strings.Contains(line, "planted") {
			t.Errorf("logged %q, want %q", line, want)
		}
	case <-time.After(time.Minute):
		t.Fatalf("never logged %q", want)
	}
}

func (l lines) end(t *testing.T) {
	t.Helper()
	if len(l) > 0 {
		t.Errorf("logged more: %q", <-l)
	}
}

func TestFollowLogsTheFirstFailureInARowAndItsEnd(t *testing.T) {
	t.Parallel()
	log := make(lines, 100)
	var up atomic.Bool
	tries := make(chan struct{}, 1000)
	f := newFixture(t)
	id := f.active(t, "acme")
	cfg := f.pool.Config()
	cfg.BeforeConnect = func(context.Context, *pgx.ConnConfig) error {
		tries <- struct{}{}
		if up.Load() {
			return nil
		}
		return errors.New("planted")
	}
	follower := &fixture{Registry: newRegistry(t, registry.Config{
		Pool: newPool(t, cfg), Keyring: newKeyring(t, 1), Logger: slog.New(slog.NewTextHandler(log, nil)),
	})}
	rec, stop := follower.follow(t)
	for range 3 {
		pgtest.Receive(t, "Follow tries to connect", tries)
	}
	now := time.Now()
	if err := follower.CheckFollow(now.Add(20 * time.Second)); err != nil {
		t.Errorf("not ready after 20 s: %v", err)
	}
	err := follower.CheckFollow(now.Add(40 * time.Second))
	var status interface{ HTTPStatus() int }
	if !errors.As(err, &status) || status.HTTPStatus() != 503 || strings.Contains(err.Error(), "planted") {
		t.Errorf("after 40 s without a read: %v, want an error with status 503", err)
	}
	up.Store(true)
	rec.wait(t, id, 2)
	log.next(t, `level=WARN msg="registry: follow fails" error="registry: follow: no answer`)
	log.next(t, `level=INFO msg="registry: follow works again"`)
	if stat := follower.FollowStat(); stat.Running() != 1 || stat.FailureCount() < 2 || stat.LastRead().Before(now) {
		t.Errorf("%d run, %d failures, last read %v before it was up", stat.Running(), stat.FailureCount(),
			now.Sub(stat.LastRead()))
	}
	must(t, follower.CheckFollow(time.Now()))
	stop()
	must(t, follower.CheckFollow(now.Add(time.Hour))) // there is none any more
	log.end(t)
}

// Guards: that a registry had lost changes, after a restore or a failover, was nowhere to be seen.
func TestFollowLogsAndCountsThatChangesWereLost(t *testing.T) {
	t.Parallel()
	log := make(lines, 100)
	f := newFixture(t, func(_ *pgxpool.Config, cfg *registry.Config) {
		cfg.PollInterval, cfg.Logger = 10*time.Millisecond, slog.New(slog.NewTextHandler(log, nil))
	})
	id := f.active(t, "acme")
	rec, stop := f.follow(t)
	rec.wait(t, id, 2)
	f.exec(t, `WITH feed AS (UPDATE pgtenancy.feed SET version = version - 1 RETURNING version)
		DELETE FROM pgtenancy.changes c USING feed WHERE c.version > feed.version`)
	rec.wait(t, id, 0)
	log.next(t, `level=WARN msg="registry: the registry has lost changes`)
	stop()
	if n := f.FollowStat().LostCount(); n != 1 {
		t.Errorf("counted %d times, want once", n)
	}
}

func TestAShareLogsTheFirstFailureInARowAndItsEnd(t *testing.T) {
	t.Parallel()
	log := make(lines, 1000)
	f := newFixture(t, func(_ *pgxpool.Config, cfg *registry.Config) {
		cfg.Heartbeat, cfg.Logger = 5*time.Millisecond, slog.New(slog.NewTextHandler(log, nil))
	})
	u := f.join(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- u.share.Run(ctx) }()
	f.exec(t, `ALTER TABLE pgtenancy.routers RENAME TO away`)
	log.next(t, `level=WARN msg="registry: budget share fails" error="registry: beat: ERROR: relation`)
	f.exec(t, `ALTER TABLE pgtenancy.away RENAME TO routers`)
	log.next(t, `level=INFO msg="registry: budget share works again"`)
	cancel()
	must(t, pgtest.Receive(t, "Run ends", done))
	log.end(t)
}
