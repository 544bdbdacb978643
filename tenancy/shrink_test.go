package tenancy_test

import (
	"context"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// silent is the client's end of a connection to a server that lets everybody in and then swallows what it gets. It can
// be half closed, as TCP's can, so that the closer waits for the server.
type silent struct{ net.Conn }

func (silent) CloseWrite() error { return nil }

func dialSilent(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	go func() {
		defer server.Close()
		backend := pgproto3.NewBackend(server, server)
		if _, err := backend.ReceiveStartupMessage(); err != nil {
			return
		}
		backend.Send(&pgproto3.AuthenticationOk{})
		backend.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		if backend.Flush() == nil {
			_, _ = io.Copy(io.Discard, server)
		}
	}()
	return silent{client}, nil
}

// idleOnSilent makes a resolver that has n idle connections to a server that answers no more, "pg".
func idleOnSilent(t *testing.T, n int) *tenancy.Resolver {
	t.Helper()
	dir := newTenants()
	record := tenant("a", 1)
	record.Endpoint.Server = "pg"
	dir.put(record)
	base := undialled()
	base.ConnConfig.DialFunc = dialSilent
	r := resolver(t, tenancy.Config{Directory: dir, Base: base, MaxConnsPerTenant: int32(n)})
	err := r.AcquireFunc(t.Context(), "a", func(ctx context.Context, pool *pgxpool.Pool) error {
		for range n {
			conn, err := pool.Acquire(ctx)
			if err != nil {
				return err
			}
			defer conn.Release()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Guards: the connections were closed one after the other, a second for each, before SetMaxConns returned. A
// registry.Share that waited for that for longer than ten beats was taken for dead, on healthy servers too.
func TestSetMaxConnsWaitsForNoServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := idleOnSilent(t, 30)
		defer closeNow(t, r)
		start := time.Now()
		if open := r.SetMaxConns("pg", 10); open != 30 || time.Since(start) != 0 {
			t.Errorf("SetMaxConns took %v and returned %d", time.Since(start), open)
		}
		synctest.Wait()
		if open := r.SetMaxConns("pg", 10); open != 30 {
			t.Errorf("%d are open while the server swallows, want 30", open)
		}
		time.Sleep(2 * time.Second)
		if s := pgStat(t, r); s.OpenConns() != 10 || s.StealCount() != 20 {
			t.Errorf("%d are open, %d were closed", s.OpenConns(), s.StealCount())
		}
	})
}

func TestCloseWaitsForWhatSetMaxConnsCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := idleOnSilent(t, 30)
		r.SetMaxConns("pg", 0)
		synctest.Wait()
		closeNow(t, r)
		if s := pgStat(t, r); s.OpenConns() != 0 || s.StealCount() != 30 {
			t.Errorf("after Close: %d are open, %d were closed by SetMaxConns", s.OpenConns(), s.StealCount())
		}
		if open := r.SetMaxConns("pg", 5); open != 0 {
			t.Errorf("after Close: %d are open", open)
		}
	})
}
