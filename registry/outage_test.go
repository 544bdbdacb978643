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
		<-tries
	}
	up.Store(true)
	rec.wait(t, id, 2)
	log.next(t, `level=WARN msg="registry: follow fails" error="registry: follow: no answer`)
	log.next(t, `level=INFO msg="registry: follow works again"`)
	stop()
	log.end(t)
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
	must(t, <-done)
	log.end(t)
}
