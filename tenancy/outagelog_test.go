package tenancy_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

var errDirectory = errors.New("connection refused")

// logbook keeps the lines of a logger.
type logbook struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *logbook) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logbook) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
}

// want fails unless the lines since the last call have the given parts, one each.
func (b *logbook) want(t *testing.T, parts ...string) {
	t.Helper()
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	lines := strings.FieldsFunc(b.text.String(), func(r rune) bool { return r == '\n' })
	b.text.Reset()
	if len(lines) != len(parts) {
		t.Fatalf("%d lines, want %d: %q", len(lines), len(parts), lines)
	}
	for i, part := range parts {
		if !strings.Contains(lines[i], part) || strings.Contains(lines[i], "pw") {
			t.Errorf("line %q, want %q", lines[i], part)
		}
	}
}

func TestServerThatGoesDownIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b logbook
		r, n := bulkheads(t, tenancy.Config{Logger: b.logger()})
		defer closeNow(t, r)
		attempts(t, r, "w", 10)
		b.want(t)
		attempts(t, r, "s", 10)
		attempts(t, r, "s", 10)
		b.want(t, `level=WARN msg="tenancy: server down" server=10.0.0.1:5432 err=`)
		n.set(sick, "28P01") // it answers, within the interval
		time.Sleep(3 * time.Second)
		attempts(t, r, "s", 1)
		b.want(t)
		time.Sleep(10 * time.Second)
		b.want(t, `level=WARN msg="tenancy: server up again" server=10.0.0.1:5432 after=1`)
		for range 50 { // it flaps: five times in ten seconds
			time.Sleep(2 * time.Second)
			n.set(sick, "refuse")
			attempts(t, r, "s", 10)
			n.set(sick, "28P01")
			time.Sleep(2 * time.Second)
			attempts(t, r, "s", 10)
		}
		synctest.Wait()
		b.mu.Lock()
		if lines := strings.Count(b.text.String(), "\n"); lines > 21 {
			t.Errorf("%d lines in 200 s", lines)
		}
		b.mu.Unlock()
	})
}

func TestDirectoryThatFailsIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b logbook
		dir := newTenants()
		r := resolver(t, tenancy.Config{Directory: dir, Logger: b.logger(), NotFoundTTL: -1})
		defer closeNow(t, r)
		lookUp := func(times int) {
			for range times {
				_, _ = r.Acquire(t.Context(), "acme")
			}
		}
		dir.hook(func(context.Context, tenancy.ID) error { return errDirectory })
		lookUp(2)
		b.want(t)
		lookUp(20)
		b.want(t, `msg="tenancy: directory fails" err="connection refused"`)
		time.Sleep(time.Minute)
		dir.hook(nil)
		lookUp(2) // not found is an answer
		b.want(t, `msg="tenancy: directory answers again" after=1m0s`)
	})
}

func TestPoolsThatAreCutAndClosesThatPanicAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b logbook
		r := resolver(t, tenancy.Config{
			Directory: newTenants("t0", "t1", "t2"), Logger: b.logger(), DrainTimeout: time.Second,
			Attach: func(_ context.Context, tt tenancy.Tenant, _ *pgxpool.Pool) (any, func(), error) {
				if tt.ID == "t2" {
					return nil, func() { panic("pw") }, nil
				}
				return nil, nil, nil
			},
		})
		defer closeNow(t, r)
		for _, id := range []tenancy.ID{"t0", "t1", "t2"} {
			defer acquire(t, r, id).Release()
		}
		touch(t, r, "t0")
		for _, id := range []tenancy.ID{"t0", "t1"} {
			r.Evict(id)
			time.Sleep(1500 * time.Millisecond)
		}
		b.want(t, `msg="tenancy: pools cut off in use after DrainTimeout" pools=1 last_tenant=t0`)
		time.Sleep(15 * time.Second)
		b.want(t, "pools=1 last_tenant=t1")
		l := acquire(t, r, "t2")
		r.Evict("t2")
		l.Release()
	})
}
