package tenancy_test

import (
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Somebody else takes all connections that the server has: the queries that need a new one get PostgreSQL's own error,
// and all are served again when the others have gone. While the server is not full, what the budget leaves to
// provisioning and listeners is there whenever they ask.
func TestServerFullOfOutsidersRecovers(t *testing.T) {
	const most, superusers, budget, reserve, tenantCount = 20, 3, 10, 7, 24
	c := newCluster(t, pgtest.ClusterConfig{Settings: map[string]string{
		"max_connections": "20", "superuser_reserved_connections": "3",
	}})
	dir, base := c.tenants(t, tenantCount)
	r := resolver(t, tenancy.Config{Directory: dir, Base: base, MaxConns: budget})
	defer closeNow(t, r)
	outsider := base.ConnConfig.Copy()
	outsider.Database = "postgres"
	ask := func(id tenancy.ID) error { return query(t, r, id) }

	stop := traffic(t, 400, tenantCount, ask)
	eventually(t, "busy", func() bool { return len(r.Stat().Servers()) == 1 && pgStat(t, r).StealCount() > 5 })
	var kept int
	for range pgtest.Size(2, 100) {
		others, err := occupy(t, outsider, reserve)
		if err != nil {
			t.Errorf("reserve: %v", err)
		}
		kept += len(others)
		vacate(t, others)
	}
	for _, o := range stop() {
		if o.err != nil {
			t.Errorf("while the reserve is in use: %v", o.err)
		}
	}

	// The tenants' own connections go too, so that each must ask for a new one.
	var others []*pgx.Conn
	eventually(t, "full", func() bool {
		for i := range tenantCount {
			r.Evict(nth(i))
		}
		more, _ := occupy(t, outsider, most)
		others = append(others, more...)
		return len(others) == most-superusers
	})
	before := pgStat(t, r).DialCount()
	var refused int
	stop = traffic(t, 200, tenantCount, ask)
	wait(t, pgtest.Size(300*time.Millisecond, 10*time.Second))
	vacate(t, others)
	free := time.Now()
	eventually(t, "served again", func() bool { return ask("t0") == nil })
	recovered := time.Since(free)
	wait(t, 200*time.Millisecond)
	outcomes := stop()
	for _, o := range outcomes {
		var pg *pgconn.PgError
		switch {
		case o.err == nil:
		case !errors.As(o.err, &pg) || pg.Code != "53300":
			t.Errorf("error %v, want SQLSTATE 53300", o.err)
		case o.begun.After(free.Add(2 * time.Second)):
			t.Errorf("%v after there is room: %v", o.ended.Sub(free), o.err)
		default:
			refused++
		}
	}
	if refused == 0 {
		t.Error("the server was never full")
	}
	pgtest.Figure(t, "R13", "%d connections of the reserve made while the budget was in use; server full: %d of %d "+
		"queries refused with 53300, %d dials; served again %v after there was room",
		kept, refused, len(outcomes), pgStat(t, r).DialCount()-before, recovered.Round(time.Millisecond))
}

// occupy makes up to n connections, and returns the ones that it got, with the error that kept it from the next.
func occupy(t *testing.T, cc *pgx.ConnConfig, n int) (conns []*pgx.Conn, err error) {
	t.Helper()
	for range n {
		conn, err := pgx.ConnectConfig(t.Context(), cc)
		if err != nil {
			return conns, err
		}
		conns = append(conns, conn)
	}
	return conns, nil
}

// vacate closes connections, and waits until the server has noticed.
func vacate(t *testing.T, conns []*pgx.Conn) {
	t.Helper()
	for _, conn := range conns {
		_ = conn.Close(t.Context())
		select {
		case <-conn.PgConn().CleanupDone():
		case <-t.Context().Done():
		}
	}
}
