package tenancy_test

import (
	"context"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/devpg"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

func TestRestartOfTheServerIsOver2SecondsAfterItIsBack(t *testing.T) {
	t.Setenv("DATABASE_URL", "") // a server of its own: it is stopped
	dir, err := os.MkdirTemp("/tmp", "tenancy-restart-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	start := func(port int) *devpg.Server {
		t.Helper()
		s, err := devpg.Start(t.Context(), devpg.Config{Dir: dir, Port: port})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Stop() })
		return s
	}
	s := start(0)
	admin, err := pgx.ConnectConfig(t.Context(), s.Config())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := admin.Exec(t.Context(), "CREATE ROLE app LOGIN PASSWORD 'pw'"); err != nil {
		t.Fatal(err)
	}
	_ = admin.Close(t.Context())
	base, err := pgxpool.ParseConfig("")
	if err != nil {
		t.Fatal(err)
	}
	base.ConnConfig = s.Config()
	base.ConnConfig.User, base.ConnConfig.Password = "app", "pw" // the superuser has a new password after each start
	base.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return false }
	tenants := newTenants()
	tenants.put(tenancy.Tenant{ID: "t0", State: tenancy.Active, Endpoint: tenancy.Endpoint{Database: "postgres"}})
	r := resolver(t, tenancy.Config{Directory: tenants, Base: base})
	defer closeNow(t, r)

	var good, failed, late, back atomic.Int64 // back: when the server was, in nanoseconds
	var first sync.Once
	stop := make(chan struct{})
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for {
				err := query(t, r, "t0")
				since := time.Now().UnixNano() - back.Load()
				switch {
				case err == nil && back.Load() != 0:
					first.Do(func() { t.Logf("first success %v after the server was back", time.Duration(since)) })
					good.Add(1)
				case err == nil:
					good.Add(1)
				default:
					failed.Add(1)
					if back.Load() != 0 && since > int64(2500*time.Millisecond) {
						late.Add(1)
					}
				}
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
				}
			}
		})
	}
	eventually(t, "at work", func() bool { return good.Load() > 100 })
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "noticed", func() bool { return failed.Load() > 100 })
	start(int(base.ConnConfig.Port))
	back.Store(time.Now().UnixNano())
	<-time.After(3 * time.Second)
	close(stop)
	workers.Wait()
	t.Logf("%d good, %d failed, %d of them later than 2.5 s after the server was back", good.Load(), failed.Load(), late.Load())
	if late.Load() != 0 {
		t.Fail()
	}
	if err := query(t, r, "t0"); err != nil {
		t.Error(err)
	}
}
