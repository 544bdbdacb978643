package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// overLoopback serves the handler on 127.0.0.1. Its clients write prepared bytes, because net/http's own client costs
// more than the handler does.
func overLoopback(ctx context.Context, x subject, v *service) ([]worker, func() error, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	server := &http.Server{Handler: mux(x), ReadHeaderTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	end := func() error { return errors.Join(server.Close(), ignoreClosed(<-served)) }

	requests := make([][]byte, v.tenants)
	for i, id := range v.ids {
		requests[i] = fmt.Appendf(nil, "GET /%s/ HTTP/1.1\r\nHost: localhost\r\n%s\r\n", id, authorization(x, i))
	}
	var workers []worker
	for range clients {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", listener.Addr().String())
		if err != nil {
			closeAll(workers)
			return nil, nil, errors.Join(err, end())
		}
		workers = append(workers, &loopback{conn: conn, answers: bufio.NewReader(conn), requests: requests})
	}
	return workers, end, nil
}

func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func mux(x subject) http.Handler {
	m := http.NewServeMux()
	m.Handle("GET /{tenant}/", x.handler)
	return m
}

func authorization(x subject, tenant int) string {
	if x.tokens == nil {
		return ""
	}
	return "Authorization: Bearer " + x.tokens[tenant] + "\r\n"
}

// loopback is a client with one connection.
type loopback struct {
	conn     net.Conn
	answers  *bufio.Reader
	requests [][]byte // one for each tenant
}

func (l *loopback) do(_ context.Context, tenant int) error {
	if _, err := l.conn.Write(l.requests[tenant]); err != nil {
		return err
	}
	response, err := http.ReadResponse(l.answers, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", response.StatusCode)
	}
	return nil
}

func (l *loopback) close() { l.conn.Close() } //nolint:errcheck // a client that leaves
