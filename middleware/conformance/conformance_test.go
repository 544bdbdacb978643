package conformance_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/middleware"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

func discard() *log.Logger { return log.New(io.Discard, "", 0) }

// journal is a log that tests read.
type journal struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.String()
}

// client is a client of one server. Its connections are kept alive, so that a server that reuses the memory of requests
// does.
type client struct {
	url  string
	http *http.Client
}

func newClient(t *testing.T, url string) *client {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 200}
	t.Cleanup(transport.CloseIdleConnections)
	return &client{url, &http.Client{Transport: transport}}
}

// get asks for /t/<path> with the token of a tenant; empty: with none.
func (c *client) get(ctx context.Context, path, token string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+"/t/"+path, nil)
	if err != nil {
		return nil, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer token-of-"+token)
	}
	return c.http.Do(req)
}

// status returns the status and the body; 0 if the connection was closed.
func (c *client) status(t *testing.T, path, token string) (int, string) {
	t.Helper()
	resp, err := c.get(t.Context(), path, token)
	if err != nil {
		return 0, ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, ""
	}
	return resp.StatusCode, string(body)
}

func TestEveryServerServesEachTenantFromItsDatabase(t *testing.T) {
	const tenants, rounds = 200, 3
	d := newDirectory(t, tenants)
	for name, door := range doors() {
		t.Run(name, func(t *testing.T) {
			r := d.resolver(t, tenants)
			ask := door.open(t, newMiddleware(t, door.config(r)))
			for _, c := range []struct {
				what, address, token string
				want                 int
			}{
				{"its own", "tenant-1", "tenant-1", 200},
				{"without a token", "tenant-1", "", 401},
				{"another's", "tenant-1", "tenant-2", 404},
				{"an unknown one", "nobody", "nobody", 404},
				{"a misspelt one", "Tenant-1", "tenant-1", 404},
			} {
				if got, body := ask(t, "whoami", c.address, c.token); got != c.want ||
					got == 200 && body != d.database("tenant-1") {
					t.Errorf("%s: %d %q, want %d", c.what, got, body, c.want)
				}
			}
			if got, _ := ask(t, "panic", "tenant-1", "tenant-1"); got != 500 && got != 0 {
				t.Errorf("a panic: %d", got)
			}
			returned(t, r, 0)
			var wg sync.WaitGroup
			for w := range tenants {
				wg.Go(func() {
					for i := range rounds {
						id := tenancy.ID(fmt.Sprintf("tenant-%d", (w*7+i*13)%tenants))
						got, body := ask(t, "whoami", string(id), string(id))
						if got != 200 || body != d.database(id) {
							t.Errorf("%s: %d %q, want %q", id, got, body, d.database(id))
						}
					}
				})
			}
			pgtest.Wait(t, "the answers of all tenants", wg.Wait)
			returned(t, r, 0)
		})
	}
}

func TestEveryServerRefusesSuspendedTenantsAndThoseWithoutRoom(t *testing.T) {
	d := newDirectory(t, 2)
	for name, door := range doors() {
		t.Run(name, func(t *testing.T) {
			d.set("tenant-1", tenancy.Suspended)
			r := d.resolver(t, 1)
			ask := door.open(t, newMiddleware(t, door.config(r)))
			got, body := ask(t, "whoami", "tenant-1", "tenant-1")
			if _, router := routers[name]; got != 403 || router && !strings.Contains(body, "suspended") {
				t.Errorf("a suspended tenant: %d %q", got, body)
			}
			d.set("tenant-1", tenancy.Active)
			l, err := r.Acquire(t.Context(), "tenant-0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Release()
			if got, _ := ask(t, "whoami", "tenant-1", "tenant-1"); got != 503 {
				t.Errorf("at capacity: %d", got)
			}
			returned(t, r, 1)
		})
	}
}

// A router that has not chosen the route cannot know its wildcards, and says so.
func TestRoutersAnswerAMiswiredIdentifierWithAFault(t *testing.T) {
	d := newDirectory(t, 1)
	for name, start := range routers {
		t.Run(name, func(t *testing.T) {
			var log journal
			c := newClient(t, start(t, newMiddleware(t, middleware.Config{
				Resolver: d.resolver(t, 1), Identify: middleware.FromPathValue("organization"),
				Logger: slog.New(slog.NewTextHandler(&log, nil)),
			})))
			if got, _ := c.status(t, "tenant-0/whoami", "tenant-0"); got != 500 {
				t.Errorf("answered %d", got)
			}
			if text := log.String(); !strings.Contains(text, "level=ERROR") || !strings.Contains(text, "organization") {
				t.Errorf("the log has:\n%s", text)
			}
		})
	}
}

func TestRoutersEndAStreamWhenItsTenantIsSuspended(t *testing.T) {
	d := newDirectory(t, 1)
	for name, start := range routers {
		t.Run(name, func(t *testing.T) {
			r := d.resolver(t, 4)
			c := newClient(t, start(t, newMiddleware(t, middleware.Config{Resolver: r})))
			resp, err := c.get(t.Context(), "x/stream", "tenant-0")
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			lines := bufio.NewReader(resp.Body)
			if line, err := lines.ReadString('\n'); line != "begun\n" {
				t.Fatalf("%q, %v", line, err)
			}
			if n := r.Stat().Leases(); n != 1 {
				t.Errorf("%d leases during the stream", n)
			}
			r.Invalidate("tenant-0", d.set("tenant-0", tenancy.Suspended))
			defer d.set("tenant-0", tenancy.Active)
			pgtest.Wait(t, "the end of the stream", func() { _, _ = io.Copy(io.Discard, lines) })
			returned(t, r, 0)
		})
	}
}

// fasthttp does not say when a client has gone: a stream learns it when it writes.
func TestRoutersGetTheLeaseBackWhenTheClientHasGone(t *testing.T) {
	d := newDirectory(t, 1)
	for name, start := range routers {
		t.Run(name, func(t *testing.T) {
			r := d.resolver(t, 4)
			c := newClient(t, start(t, newMiddleware(t, middleware.Config{Resolver: r})))
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			resp, err := c.get(ctx, "x/stream", "tenant-0")
			if err != nil {
				t.Fatal(err)
			}
			if n := r.Stat().Leases(); n != 1 {
				t.Errorf("%d leases during the stream", n)
			}
			cancel()
			_ = resp.Body.Close()
			returned(t, r, 0)
		})
	}
}

// returned waits until r has so many leases.
func returned(t *testing.T, r *tenancy.Resolver, n int) {
	t.Helper()
	pgtest.Eventually(t, fmt.Sprintf("%d leases", n), func() bool { return r.Stat().Leases() == n })
}
