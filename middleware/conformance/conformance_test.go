package conformance_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
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

// client is a client of one server. Its connections are kept alive, so that a server that reuses the memory of requests
// does.
type client struct {
	url  string
	http *http.Client
}

func newClient(t *testing.T, url string) *client {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 16}
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

func TestRoutersServeEachTenantFromItsDatabase(t *testing.T) {
	const tenants, at = 50, 4
	d := newDirectory(t, tenants)
	r := d.resolver(t, 100)
	m := newMiddleware(t, middleware.Config{Resolver: r, Identify: middleware.FromPathValue("tenant")})
	for name, start := range routers {
		t.Run(name, func(t *testing.T) {
			c := newClient(t, start(t, m))
			for _, asked := range []struct {
				what, path, token string
				want              int
			}{
				{"its own", "tenant-1/whoami", "tenant-1", 200},
				{"without a token", "tenant-1/whoami", "", 401},
				{"another's", "tenant-1/whoami", "tenant-2", 404},
				{"an unknown one", "nobody/whoami", "nobody", 404},
				{"a misspelt one", "Tenant-1/whoami", "tenant-1", 404},
			} {
				if got, body := c.status(t, asked.path, asked.token); got != asked.want ||
					got == 200 && body != d.database("tenant-1") {
					t.Errorf("%s: %d %q, want %d", asked.what, got, body, asked.want)
				}
			}
			if got, _ := c.status(t, "tenant-1/panic", "tenant-1"); got != 500 && got != 0 {
				t.Errorf("a panic: %d", got)
			}
			var wg sync.WaitGroup
			for w := range tenants {
				wg.Go(func() {
					for i := range at {
						id := tenancy.ID(fmt.Sprintf("tenant-%d", (w*7+i*13)%tenants))
						if got, body := c.status(t, string(id)+"/whoami", string(id)); got != 200 || body != d.database(id) {
							t.Errorf("%s: %d %q, want %q", id, got, body, d.database(id))
						}
					}
				})
			}
			wg.Wait()
			returned(t, r, 0)
		})
	}
}

func TestRoutersRefuseSuspendedTenantsAndThoseWithoutRoom(t *testing.T) {
	d := newDirectory(t, 2)
	d.set("tenant-1", tenancy.Suspended)
	for name, start := range routers {
		t.Run(name, func(t *testing.T) {
			r := d.resolver(t, 1)
			c := newClient(t, start(t, newMiddleware(t, middleware.Config{Resolver: r})))
			if got, body := c.status(t, "x/whoami", "tenant-1"); got != 403 || !strings.Contains(body, "suspended") {
				t.Errorf("a suspended tenant: %d %q", got, body)
			}
			d.set("tenant-1", tenancy.Active)
			defer d.set("tenant-1", tenancy.Suspended)
			l, err := r.Acquire(t.Context(), "tenant-0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Release()
			if got, _ := c.status(t, "x/whoami", "tenant-1"); got != 503 {
				t.Errorf("at capacity: %d", got)
			}
			returned(t, r, 1)
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
			if _, err := lines.ReadString('\n'); err == nil {
				t.Error("more than one line")
			}
			returned(t, r, 0)
		})
	}
}

// fasthttp does not say when a client has gone.
func TestRoutersGetTheLeaseBackWhenTheClientHasGone(t *testing.T) {
	d := newDirectory(t, 1)
	for name, start := range routers {
		if strings.HasPrefix(name, "fiber") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			r := d.resolver(t, 4)
			c := newClient(t, start(t, newMiddleware(t, middleware.Config{Resolver: r})))
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			resp, err := c.get(ctx, "x/stream", "tenant-0")
			if err != nil {
				t.Fatal(err)
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
