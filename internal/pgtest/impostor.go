package pgtest

import (
	"context"
	"io"
	"net"
	"strconv"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"
)

// Impostor is an attacker's listener in a server's place. It asks each client for its password in clear, or passes
// everything on to the real server and back, so that the client logs in there for it.
type Impostor struct {
	Port uint16

	relay string // the real server; empty: asks

	mu    sync.Mutex // guards what follows
	conns int
	got   []string
}

// NewImpostor returns one on 127.0.0.1 that is gone with the test. With relay it is a man in the middle of relay.
func NewImpostor(tb testing.TB, relay *pgx.ConnConfig) *Impostor {
	tb.Helper()
	ln, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	addr, _ := ln.Addr().(*net.TCPAddr)
	i := &Impostor{Port: uint16(addr.Port)} //nolint:gosec // a port
	if relay != nil {
		i.relay = net.JoinHostPort(relay.Host, strconv.Itoa(int(relay.Port)))
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
				defer stop()
				i.serve(ctx, conn)
			})
		}
	})
	tb.Cleanup(func() {
		cancel()
		_ = ln.Close()
		wg.Wait()
	})
	return i
}

// Conns returns how many clients came.
func (i *Impostor) Conns() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.conns
}

// Got returns the passwords that it was given.
func (i *Impostor) Got() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]string(nil), i.got...)
}

func (i *Impostor) serve(ctx context.Context, conn net.Conn) {
	i.mu.Lock()
	i.conns++
	i.mu.Unlock()
	if i.relay != "" {
		i.pass(ctx, conn)
		return
	}
	backend := pgproto3.NewBackend(conn, conn)
	for {
		msg, err := backend.ReceiveStartupMessage()
		if err != nil {
			return
		}
		if _, ok := msg.(*pgproto3.StartupMessage); ok {
			break
		}
		if _, err := conn.Write([]byte{'N'}); err != nil { // no TLS
			return
		}
	}
	backend.Send(&pgproto3.AuthenticationCleartextPassword{})
	if backend.Flush() != nil || backend.SetAuthType(pgproto3.AuthTypeCleartextPassword) != nil {
		return
	}
	msg, err := backend.Receive()
	if password, ok := msg.(*pgproto3.PasswordMessage); ok && err == nil {
		i.mu.Lock()
		i.got = append(i.got, password.Password)
		i.mu.Unlock()
	}
}

func (i *Impostor) pass(ctx context.Context, conn net.Conn) {
	server, err := new(net.Dialer).DialContext(ctx, "tcp", i.relay)
	if err != nil {
		return
	}
	defer server.Close()
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	var wg sync.WaitGroup
	for _, way := range [][2]net.Conn{{conn, server}, {server, conn}} {
		wg.Go(func() {
			_, _ = io.Copy(way[0], way[1])
			_ = way[0].Close()
		})
	}
	wg.Wait()
}
