package provision_test

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// TestStoppedBackendHoldsUpNothingButDrops stops one backend of a tenant, for which every DROP DATABASE of the server
// waits from PostgreSQL 15 on. Sign-ups do not, nor their failures, nor those that a dead process left, though the
// reconciler has as many drops under way as it takes on at once.
func TestStoppedBackendHoldsUpNothingButDrops(t *testing.T) {
	cluster := newCluster(t, false)
	f := cluster.fixture(t)
	p := f.rescuer(t)
	run(t, p)
	failing := f.rescuer(t, failingSeed)
	resident := f.create(t, p, "resident").Tenant
	f.create(t, p, "leaving")
	usual, _ := f.signUps(t, p, "before", time.Now().Add(pgtest.Size(0, 10*time.Second)))

	conn, err := f.connect(t.Context(), resident, resident.Endpoint.Database)
	must(t, err)
	pid := int(conn.PgConn().PID())
	must(t, syscall.Kill(pid, syscall.SIGSTOP))
	awake := false
	wake := func() {
		if !awake {
			awake = true
			must(t, syscall.Kill(pid, syscall.SIGCONT))
		}
	}
	defer wake()
	stoppedAt := time.Now()
	dropped := make(chan error, 1)
	go func() { dropped <- p.Drop(t.Context(), "leaving") }()
	for i := range 2 { // as many drops as the reconciler takes on at once
		id := fmt.Sprintf("failed%d", i)
		if _, err := failing.Create(t.Context(), request(t, id, id+"@example.org")); !errors.Is(err, errBroken) {
			t.Errorf("%s: %v", id, err)
		}
	}
	_ = f.start(t, "left", "before seed", syscall.SIGKILL).Wait()
	slowest, n := f.signUps(t, p, "during", stoppedAt.Add(pgtest.Size(2*time.Second, time.Minute)))
	eventually(t, "finished what a dead process had begun", func() bool {
		tenant, err := f.reg.Tenant(t.Context(), "left")
		must(t, err)
		return tenant.State == tenancy.Active
	})
	held := cluster.waits(t, f)
	if held {
		if _, err := p.Create(t.Context(), request(t, "", "xleaving@example.org")); !errors.Is(err, registry.ErrEmailTaken) {
			t.Errorf("the e-mail of a tenant whose database is there: %v", err)
		}
		if len(dropped) > 0 {
			t.Errorf("the drop ended: %v", <-dropped)
		}
	}
	wake()
	resumed := time.Now()
	must(t, pgtest.Receive(t, "the drop ends", dropped))
	f.settle(t)
	took := time.Since(resumed)
	must(t, conn.Close(t.Context()))
	f.takeCensus(t).check(t, answers{})
	pgtest.Figure(t, "P9", "a backend stopped for %v: %d sign-ups meanwhile, the slowest in %v, before in %v; what a "+
		"dead process left was finished; drops waited: %t; 3 of them ended within %v after it went on",
		resumed.Sub(stoppedAt).Round(time.Second), n, slowest, usual, held, took.Round(time.Millisecond))
}

// signUps signs up until the deadline, twice at least, and returns how long the slowest took, and how many there were.
func (f *fixture) signUps(t *testing.T, p *provision.Provisioner, name string,
	until time.Time,
) (slowest time.Duration, n int) {
	t.Helper()
	for ; n < 2 || time.Now().Before(until); n++ {
		began := time.Now()
		f.create(t, p, fmt.Sprintf("%s%d", name, n))
		slowest = max(slowest, time.Since(began).Round(time.Millisecond))
	}
	return slowest, n
}

// waits reports whether a DROP DATABASE waits for all processes of the server. Before PostgreSQL 15 none does.
func (c *cluster) waits(t *testing.T, f *fixture) bool {
	t.Helper()
	waits := f.list(t, c.Admin(), `SELECT DISTINCT 'yes' FROM pg_stat_activity
		WHERE wait_event = 'ProcSignalBarrier' AND starts_with(query, 'DROP DATABASE')`) == "yes"
	if !waits && f.list(t, c.Admin(), "SELECT 'yes' WHERE current_setting('server_version_num')::int >= 150000") == "yes" {
		t.Error("no DROP DATABASE waits: the test shows nothing")
	}
	return waits
}
