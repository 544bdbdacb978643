package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/middleware"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// serveOn lets the program's own server serve a handler, and returns its address.
func serveOn(t *testing.T, s *http.Server) string {
	t.Helper()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ln) }()
	t.Cleanup(func() {
		_ = s.Close()
		if err := pgtest.Receive(t, "Serve ends", ended); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return ln.Addr().String()
}

// reply is an answer that was read to its end. The zero reply is none: the connection was closed.
type reply struct {
	status int
	header http.Header
	body   string
	closed bool // the answer said that the connection is closed
}

// wire sends bytes as they are, and returns the first answer.
func wire(t *testing.T, address, bytes string) reply {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, bytes); err != nil {
		return reply{}
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%.60q: no answer in a minute", bytes)
	}
	if err != nil {
		return reply{}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Errorf("%.60q: %v", bytes, err)
	}
	return reply{res.StatusCode, res.Header, string(body), res.Close}
}

// TestAmbiguousRequestsAreRefused: two servers in a row must not read two requests out of the same bytes.
func TestAmbiguousRequestsAreRefused(t *testing.T) {
	t.Parallel()
	reached := make(chan string, 100)
	address := serveOn(t, newServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { reached <- r.Host }),
		slog.New(slog.DiscardHandler)))
	const line = "POST / HTTP/1.1\r\n"
	for _, request := range []string{
		line + "Host: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		line + "Host: a\r\nContent-Length: 1, 2\r\n\r\nab",
		line + "Host: a\r\nContent-Length: +1\r\n\r\na",
		line + "Host: a\r\nContent-Length: -1\r\n\r\n",
		line + "Host: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
		line + "Host: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
		line + "Host: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		line + "Host: a\r\nContent-Length : 1\r\n\r\na",
		line + "Host: a\r\nHost: b\r\n\r\n",
		line + "Host: a/b\r\n\r\n",
		line + "Host: a b\r\n\r\n",
		line + "\r\n",
		line + "Host: a\r\nX-A: b\x00c\r\n\r\n",
		line + "Host: a\r\nX A: b\r\n\r\n",
		line + " Host: a\r\n\r\n",
		"POST / HTTP/1.1 \r\nHost: a\r\n\r\n",
		"POST http://a@b c/ HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST / HTTP/9.9\r\nHost: a\r\n\r\n",
	} {
		if res := wire(t, address, request); res.status < 400 {
			t.Errorf("%q: %+v", request, res)
		}
	}
	// net/http reads this as chunked and takes Content-Length away: then the connection must be closed.
	both := line + "Host: both\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: d\r\n\r\n"
	if res := wire(t, address, both); res.status < 400 && (!res.closed ||
		pgtest.Receive(t, "the handler is reached", reached) != "both") {
		t.Errorf("with both lengths: %+v", res)
	}
	if res := wire(t, address, line+"Host: c\r\n\r\n"); res.status != 200 || pgtest.Receive(t, "the handler is reached",
		reached) != "c" {
		t.Errorf("a good request: %+v", res)
	}
	if n := len(reached); n != 0 {
		t.Errorf("%d bad requests reached the handler", n)
	}
}

func TestHeaderThatIsTooLargeIsRefused(t *testing.T) {
	t.Parallel()
	address := serveOn(t, newServer(http.NotFoundHandler(), slog.New(slog.DiscardHandler)))
	for size, want := range map[int]int{1 << 10: 404, 128 << 10: 431} {
		request := "GET / HTTP/1.1\r\nHost: a\r\nX-A: " + strings.Repeat("a", size) + "\r\n\r\n"
		if res := wire(t, address, request); res.status != want {
			t.Errorf("%d bytes: %+v, want %d", size, res, want)
		}
	}
}

// TestSlowClientsAreCutOff sends headers and a body that do not end.
func TestSlowClientsAreCutOff(t *testing.T) {
	t.Parallel()
	read := make(chan error, 1)
	s := newServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		read <- err
	}), slog.New(slog.DiscardHandler))
	for name, timeout := range map[string]time.Duration{
		"ReadHeaderTimeout": s.ReadHeaderTimeout, "ReadTimeout": s.ReadTimeout, "WriteTimeout": s.WriteTimeout,
		"IdleTimeout": s.IdleTimeout,
	} {
		if timeout <= 0 || timeout > 2*time.Minute {
			t.Errorf("%s: %v", name, timeout)
		}
	}
	s.ReadHeaderTimeout, s.ReadTimeout = 50*time.Millisecond, 200*time.Millisecond
	address := serveOn(t, s)
	if res := wire(t, address,
		"GET / HTTP/1.1\r\nHost: a\r\nX-A: "); res.status != 0 && res.status != http.StatusRequestTimeout {
		t.Errorf("a header without an end: %+v", res)
	}
	res := wire(t, address, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nab")
	if err := pgtest.Receive(t, "the body is given up", read); err == nil {
		t.Errorf("a body without an end was read to its end: %+v", res)
	}
}

// TestPanicTellsNothingAndGivesTheLeaseBack panics in a handler that holds a lease, before and after its answer began.
func TestPanicTellsNothingAndGivesTheLeaseBack(t *testing.T) {
	t.Parallel()
	base, err := pgxpool.ParseConfig("host=127.0.0.1 port=1 user=nobody dbname=none sslmode=disable") // nobody dials it
	if err != nil {
		t.Fatal(err)
	}
	resolver, err := tenancy.New(tenancy.Config{Base: base, Directory: tenancy.DirectoryFunc(
		func(_ context.Context, id tenancy.ID) (tenancy.Tenant, error) {
			return tenancy.Tenant{ID: id, State: tenancy.Active, Endpoint: tenancy.Endpoint{Database: "none"}}, nil
		})})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resolver.Close(context.WithoutCancel(t.Context())) })
	m, err := middleware.New(middleware.Config{
		Resolver: resolver, Public: true,
		Identify: func(*http.Request) (tenancy.ID, error) {
			return "acme", nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	const secret = "anna@example.org"
	for _, test := range []struct {
		name  string
		panic func(http.ResponseWriter)
		want  string // "" for an answer that is broken off
		log   string
	}{
		{"a value", func(http.ResponseWriter) { panic(secret) }, `{"title":"Internal Server Error","status":500}`, "string"},
		{
			"an error", func(http.ResponseWriter) { panic(fmt.Errorf("of %s", secret)) },
			`{"title":"Internal Server Error","status":500}`, "errors",
		},
		{
			"a mistake", func(http.ResponseWriter) { _ = secret[len(t.Name())+99] },
			`{"title":"Internal Server Error","status":500}`, "out of range",
		},
		{"in the answer", func(w http.ResponseWriter) { _, _ = io.WriteString(w, "half"); panic(secret) }, "", "string"},
		{"on purpose", func(http.ResponseWriter) { panic(http.ErrAbortHandler) }, "", ""},
	} {
		logs := &buffer{}
		log := slog.New(slog.NewJSONHandler(logs, nil))
		inner := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { test.panic(w) }))
		w := httptest.NewRecorder()
		aborted := func() (aborted bool) {
			defer func() { aborted = recover() == http.ErrAbortHandler }()
			logged(log, recovered(log, inner)).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/", nil))
			return false
		}()
		if aborted != (test.want == "") || !aborted && (w.Code != 500 || w.Body.String() != test.want) {
			t.Errorf("%s: aborted %v, %d %s", test.name, aborted, w.Code, w.Body)
		}
		if strings.Contains(logs.String(), secret) || !strings.Contains(logs.String(), test.log) ||
			!strings.Contains(logs.String(), `"msg":"request"`) {
			t.Errorf("%s: log %s", test.name, logs)
		}
		if n := resolver.Stat().Leases(); n != 0 {
			t.Errorf("%s: %d leases are left", test.name, n)
		}
	}
}
