package tenancy_test

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// forwarder stands between the resolver and a server, and can become a black hole: connections come about, and nothing
// goes through them.
type forwarder struct {
	net.Listener
	hole atomic.Bool
	wg   sync.WaitGroup
}

func forward(t testing.TB, to string) (_ *forwarder, host string, port uint16) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &forwarder{Listener: l}
	f.wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			f.wg.Go(func() { f.serve(t.Context(), in, to) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		f.wg.Wait()
	})
	addr := l.Addr().(*net.TCPAddr)
	return f, addr.IP.String(), uint16(addr.Port)
}

func (f *forwarder) serve(ctx context.Context, in net.Conn, to string) {
	defer in.Close()
	out, err := new(net.Dialer).DialContext(ctx, "tcp", to)
	if err != nil {
		return
	}
	defer out.Close()
	f.wg.Go(func() { f.pump(in, out) })
	f.pump(out, in)
}

func (f *forwarder) pump(dst io.WriteCloser, src io.Reader) {
	defer dst.Close()
	buf := make([]byte, 4096)
	for {
		n, err := src.Read(buf)
		if err != nil {
			return
		}
		if !f.hole.Load() {
			if _, err := dst.Write(buf[:n]); err != nil {
				return
			}
		}
	}
}

func address(cc *pgx.ConnConfig) string {
	_, addr := pgconn.NetworkAddress(cc.Host, cc.Port)
	return addr
}

// The promise: a server that answers nothing does not slow down the tenants of another, its own fail fast, and it is in
// use again soon after it is back.
func TestBlackHoleStaysInItsBulkhead(t *testing.T) {
	t.Parallel()
	const patience = 1500 * time.Millisecond
	queries := pgtest.Size(400, 20_000)
	dir, base := databases(t, 4)
	f, host, port := forward(t, address(base.ConnConfig))
	for _, id := range []tenancy.ID{"t0", "t1"} {
		rec := dir.records[id]
		rec.Endpoint.Host, rec.Endpoint.Port = host, port
		dir.put(rec)
	}
	base.ConnConfig.ConnectTimeout = time.Second
	base.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return false }
	r := resolver(t, tenancy.Config{Directory: dir, Base: base})
	defer closeNow(t, r)

	var failed atomic.Int64
	healthy := func() time.Duration { // the 99th percentile
		took := make([]time.Duration, queries)
		var wg sync.WaitGroup
		for w := range 4 {
			wg.Go(func() {
				for i := w; i < queries; i += 4 {
					start := time.Now()
					if err := query(t, r, []tenancy.ID{"t2", "t3"}[i%2]); err != nil {
						failed.Add(1)
						t.Errorf("healthy tenant: %v", err)
					}
					took[i] = time.Since(start)
				}
			})
		}
		pgtest.Wait(t, "every goroutine ends", wg.Wait)
		slices.Sort(took)
		return took[queries*99/100]
	}
	try := func() (time.Duration, error) { // a query of a sick tenant
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		start := time.Now()
		err := r.AcquireFunc(ctx, "t0", func(ctx context.Context, pool *pgxpool.Pool) error { return pool.Ping(ctx) })
		return time.Since(start), err
	}
	if _, err := try(); err != nil {
		t.Fatal(err)
	}
	before := healthy()

	f.hole.Store(true)
	start := time.Now()
	stop := make(chan struct{})
	var opened, slowest atomic.Int64
	var sick sync.WaitGroup
	for range 4 {
		sick.Go(func() {
			for {
				took, err := try()
				if err == nil {
					t.Error("a query went through the black hole")
				}
				if errors.Is(err, tenancy.ErrServerDown) {
					opened.CompareAndSwap(0, int64(time.Since(start)))
				}
				slowest.Store(max(slowest.Load(), int64(took)))
				select {
				case <-stop:
					return
				case <-time.After(5 * time.Millisecond):
				}
			}
		})
	}
	eventually(t, "the breaker open", func() bool { return opened.Load() != 0 })
	during := healthy()
	close(stop)
	pgtest.Wait(t, "every query at the sick server ends", sick.Wait)

	f.hole.Store(false)
	back := time.Now()
	eventually(t, "back", func() bool { _, err := try(); return err == nil })
	recovered := time.Since(back)
	defer pgtest.Figure(t, "R9", "tenants of the healthy server: %d of %d queries failed, p99 %v before and %v during; "+
		"of the black hole: breaker open after %v, slowest answer %v with a limit of %v, back after %v",
		failed.Load(), 2*queries, before.Round(time.Millisecond), during.Round(time.Millisecond),
		time.Duration(opened.Load()).Round(time.Millisecond),
		time.Duration(slowest.Load()).Round(time.Millisecond), patience, recovered.Round(time.Millisecond))
	if time.Duration(slowest.Load()) > patience+500*time.Millisecond || recovered > 4*time.Second {
		t.Error("too slow") // the figures that are promised are 50 ms and 2 s; this machine may be busy
	}
}

// stale makes four idle connections for t0, and breaks them as the end of the server would.
func stale(t *testing.T, r *tenancy.Resolver, database string) {
	t.Helper()
	busy(t, r)
	admin := connect(t)
	_, err := admin.Exec(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1",
		database)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "disconnected", func() bool { return backends(t, admin, database) == 0 })
}

// busy makes four connections at once, and leaves them idle.
func busy(t *testing.T, r *tenancy.Resolver) {
	t.Helper()
	err := r.AcquireFunc(t.Context(), "t0", func(ctx context.Context, pool *pgxpool.Pool) error {
		var conns []*pgxpool.Conn
		for range 4 {
			c, err := pool.Acquire(ctx)
			if err != nil {
				return err
			}
			conns = append(conns, c)
		}
		for _, c := range conns {
			c.Release()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestOneErrorDropsEveryStaleConnection(t *testing.T) {
	t.Parallel()
	dir, base := databases(t, 1)
	base.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return false }
	r := resolver(t, tenancy.Config{Directory: dir, Base: base})
	defer closeNow(t, r)
	for range 3 {
		stale(t, r, dir.records["t0"].Endpoint.Database)
		failed := 0
		for range 8 {
			if err := query(t, r, "t0"); err != nil {
				failed++
			}
		}
		if failed > 1 {
			t.Errorf("%d queries failed, and one shows that all connections are broken", failed)
		}
	}
}

func TestConnectionsToAStandbyAreDropped(t *testing.T) {
	t.Parallel()
	dir, base := databases(t, 1)
	r := resolver(t, tenancy.Config{Directory: dir, Base: base})
	defer closeNow(t, r)
	name := pgx.Identifier{dir.records["t0"].Endpoint.Database}.Sanitize()
	admin := connect(t)
	exec := func(sql string) {
		if _, err := admin.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	write := func(ctx context.Context, pool *pgxpool.Pool) error {
		_, err := pool.Exec(ctx, "create table if not exists kept (n int)")
		return err
	}
	exec("ALTER DATABASE " + name + " SET default_transaction_read_only = on")
	busy(t, r)
	exec("ALTER DATABASE " + name + " RESET default_transaction_read_only")
	if err := r.AcquireFunc(t.Context(), "t0", write); err == nil {
		t.Error("written to a standby")
	}
	for range 4 {
		if err := r.AcquireFunc(t.Context(), "t0", write); err != nil {
			t.Errorf("the server takes writes again: %v", err)
		}
	}
	// A transaction that its user made read only says nothing of the server.
	err := r.AcquireFunc(t.Context(), "t0", func(ctx context.Context, pool *pgxpool.Pool) error {
		before := pool.Stat().NewConnsCount()
		for range 4 {
			err := pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
				_, err := tx.Exec(ctx, "create table other (n int)")
				return err
			})
			if err == nil {
				t.Error("written in a read-only transaction")
			}
		}
		if n := pool.Stat().NewConnsCount() - before; n != 0 {
			t.Errorf("%d new connections", n)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
