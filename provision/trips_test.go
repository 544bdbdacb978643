package provision_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// trips counts connections made, and round trips on them once they are logged in: something was written after the last
// answer had been read. It does not count where a read begins: pgx begins one early when a write takes long.
type trips struct {
	mu sync.Mutex // guards what follows, and the fields of its connections
	tripCount
}

type tripCount struct{ dials, trips int }

type tripConn struct {
	net.Conn
	of              *trips
	ready, answered bool
}

func (c *tripConn) Write(b []byte) (int, error) {
	const terminate = 'X' // is not answered
	c.of.mu.Lock()
	if c.ready && c.answered && b[0] != terminate {
		c.of.trips++
	}
	c.answered = false
	c.of.mu.Unlock()
	return c.Conn.Write(b)
}

func (c *tripConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	c.answered = c.answered || n > 0
	return n, err
}

// through makes cfg count in tr.
func (tr *trips) through(cfg *pgconn.Config) {
	dial := cfg.DialFunc
	cfg.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		return &tripConn{Conn: conn, of: tr}, err
	}
	cfg.AfterConnect = func(_ context.Context, conn *pgconn.PgConn) error {
		nc := conn.Conn()
		if wrapped, ok := nc.(interface{ NetConn() net.Conn }); ok {
			nc = wrapped.NetConn() // below TLS
		}
		tr.mu.Lock()
		defer tr.mu.Unlock()
		tr.dials++
		nc.(*tripConn).ready = true
		return nil
	}
}

// take returns what was counted since it was called last.
func (tr *trips) take() tripCount {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	n := tr.tripCount
	tr.tripCount = tripCount{}
	return n
}

// counted makes provisioners whose connections to the registry and to the server are counted. The one connection to the
// registry has its statements prepared after the first sign-up, nothing pings it, and no claim is old enough to be
// renewed.
func (f *fixture) counted(t *testing.T) (registry, server *trips, change func(*provision.Config)) {
	t.Helper()
	registry, server = new(trips), new(trips)
	admin, pool := f.admin.Copy(), f.regCfg.Copy()
	server.through(&admin.Config)
	registry.through(&pool.ConnConfig.Config)
	pool.MaxConns = 1
	pool.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return false }
	reg := openRegistryOn(t, poolOf(t, pool))
	return registry, server, func(c *provision.Config) {
		c.Admin, c.Registry, c.ClaimTTL, c.Interval = admin, reg, time.Hour, time.Hour
	}
}

// TestWarmSignUpTakesSixRoundTrips: two for the intent, three for the seed of one statement, one for the activation.
func TestWarmSignUpTakesSixRoundTrips(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ids := f.warmed(t, 2)
	registry, server, counted := f.counted(t)
	p := f.provisioner(t, counted, func(c *provision.Config) {
		c.Warm, c.WarmConns, c.WarmInterval = 1, 2, time.Hour // or a round that the sign-up calls for would be counted
		c.Rehearse = func(ctx context.Context, tx pgx.Tx) error {
			return seedAdmin(ctx, tx, provision.Seed{})
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { p.KeepWarm(ctx) })
	defer pgtest.Wait(t, "the keeper of the stock ends", wg.Wait)
	defer cancel()
	eventually(t, "both connections are held", func() bool { return p.Holds(ids[0]) && p.Holds(ids[1]) })
	_, err := f.provisioner(t, counted).Create(t.Context(), unnamed(t, 1)) // prepares, and does not wake p
	must(t, err)

	registry.take()
	server.take()
	made, err := p.Create(t.Context(), unnamed(t, 2))
	must(t, err)
	inRegistry, onServer := registry.take(), server.take()
	if !made.Warm || made.Tenant.ID != ids[1] {
		t.Fatalf("got %q, warm %t", made.Tenant.ID, made.Warm)
	}
	if want := (tripCount{dials: 0, trips: 3}); inRegistry != want {
		t.Errorf("registry: %+v, want %+v", inRegistry, want)
	}
	if want := (tripCount{dials: 0, trips: 3}); onServer != want {
		t.Errorf("server: %+v, want %+v", onServer, want)
	}
}

// TestColdSignUpDialsOnceAndTakesFifteenRoundTrips: beside the warm one's six, three renewals of the claim that record
// what is being done; on the session that is kept, the lock, a look, CREATE DATABASE, the access and the end of the
// lock; and on the new connection the INSERT is prepared.
func TestColdSignUpDialsOnceAndTakesFifteenRoundTrips(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	registry, server, counted := f.counted(t)
	p := f.provisioner(t, counted)
	defer p.KeepSessions()()
	for i, id := range []tenancy.ID{"first", "second"} {
		registry.take()
		server.take()
		req := unnamed(t, i)
		req.ID = id
		_, err := p.Create(t.Context(), req)
		must(t, err)
	}
	if got, want := registry.take(), (tripCount{dials: 0, trips: 6}); got != want {
		t.Errorf("registry: %+v, want %+v", got, want)
	}
	if got, want := server.take(), (tripCount{dials: 1, trips: 9}); got != want {
		t.Errorf("server: %+v, want %+v", got, want)
	}
}
