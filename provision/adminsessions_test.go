package provision_test

import (
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/failpoint"
	"github.com/pgtenancy/pgtenancy/internal/pglock"
	"github.com/pgtenancy/pgtenancy/provision"
)

// alive are the backends that serve conns.
func (f *fixture) alive(t *testing.T, conns []*net.TCPConn) []string {
	t.Helper()
	var ports []int32
	for _, conn := range conns {
		ports = append(ports, int32(conn.LocalAddr().(*net.TCPAddr).Port))
	}
	return strings.Fields(f.list(t, f.admin,
		"SELECT pid::text FROM pg_stat_activity WHERE client_port = ANY($1)", ports))
}

// TestKeptSessionHoldsNoLockAndIsReplacedWhenItIsLost follows it from the first database to the end of Run.
func TestKeptSessionHoldsNoLockAndIsReplacedWhenItIsLost(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	w, points, admin := &wires{}, failpoint.New(), f.admin.Copy()
	w.through(&admin.Config)
	p := f.provisioner(t, func(c *provision.Config) {
		c.Admin = admin
		c.SetFailpoints(points)
	})
	end := p.KeepSessions()
	kept := func(want int) (conns []*net.TCPConn) {
		t.Helper()
		conns = w.take()
		eventually(t, "no session but those that are kept", func() bool { return len(f.alive(t, conns)) == want })
		return conns
	}

	f.create(t, p, "a")
	conns := kept(1)
	conn, err := pgx.ConnectConfig(t.Context(), f.admin)
	must(t, err)
	defer conn.Close(t.Context())
	if free, err := pglock.TryLock(t.Context(), conn, f.prefix+"a"); !free || err != nil {
		t.Errorf("the lock of the name is free: %t, %v", free, err)
	}

	f.list(t, f.admin, "SELECT pg_terminate_backend($1::text::int)::text", f.alive(t, conns)[0])
	f.create(t, p, "b")
	conns = kept(1)

	points.On("after database", failpoint.Error(errBroken))
	if _, err := p.Create(t.Context(), request(t, "c", "c@example.org")); !errors.Is(err, errBroken) {
		t.Fatal(err)
	}
	eventually(t, "a session on which something failed is closed", func() bool { return len(f.alive(t, conns)) == 0 })

	points.On("after database", nil)
	f.create(t, p, "d")
	conns = kept(1)
	end()
	eventually(t, "none is kept when Run has ended", func() bool { return len(f.alive(t, conns)) == 0 })
}
