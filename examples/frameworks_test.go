package examples_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"testing"
	"time"
	"unsafe"

	"github.com/gofiber/fiber/v2"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttpadaptor"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/middleware"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// fleet is tenants with a database each, whose mark the fence reads.
type fleet struct {
	ids       []tenancy.ID
	databases map[tenancy.ID]string
	base      *pgxpool.Config
}

func newFleet(t *testing.T, n int) *fleet {
	t.Helper()
	f := &fleet{databases: map[tenancy.ID]string{}}
	for i := range n {
		id := tenancy.ID(fmt.Sprintf("tenant-%02d", i))
		f.base = pgtest.Database(t)
		f.ids, f.databases[id] = append(f.ids, id), f.base.ConnConfig.Database
		conn, err := pgx.ConnectConfig(t.Context(), f.base.ConnConfig.Copy())
		if err != nil {
			t.Fatal(err)
		}
		_, err = conn.Exec(t.Context(), "COMMENT ON DATABASE "+pgx.Identifier{f.databases[id]}.Sanitize()+
			" IS '"+tenancy.OwnerTag{Tenant: id, Epoch: 1}.String()+"'")
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func (f *fleet) Lookup(_ context.Context, id tenancy.ID) (tenancy.Tenant, error) {
	database, ok := f.databases[id]
	if !ok {
		return tenancy.Tenant{}, tenancy.ErrNotFound
	}
	return tenancy.Tenant{
		ID: id, State: tenancy.Active, Epoch: 1, Endpoint: tenancy.Endpoint{Server: "pg", Database: database},
	}, nil
}

// database asks the tenant's database for its name.
func database(ctx context.Context, pool *pgxpool.Pool) (name string, err error) {
	err = pool.QueryRow(ctx, "SELECT current_database()").Scan(&name)
	return name, err
}

// A transport carries requests for a tenant's path, all of them over one connection or one piece of memory.
type transport struct {
	name  string
	serve func(t *testing.T, r *tenancy.Resolver) (ask func(id tenancy.ID) (database string, err error))
}

// FastHTTP and frameworks on top of it overwrite a request's strings with the next request's. No tenant may be served
// from another's database for that, nor may the resolver open a pool that it never finds again.
func TestNoTenantCrossesWhereAServerReusesTheMemoryOfItsRequests(t *testing.T) {
	t.Parallel()
	requests := pgtest.Size(1_500, 40_000)
	f := newFleet(t, pgtest.Size(6, 50))
	for _, tr := range []transport{
		{"net/http", overHTTP},
		{"fasthttp's adaptor", overAdaptor},
		{"fasthttp", overFastHTTP},
		{"fiber", overFiber},
		{"one buffer", overBuffer},
	} {
		t.Run(tr.name, func(t *testing.T) {
			r, err := tenancy.New(tenancy.Config{
				Directory: f, Base: f.base, Fence: true, MaxConns: 60, MaxPools: pgtest.Size(6, 49),
			})
			if err != nil {
				t.Fatal(err)
			}
			ask := tr.serve(t, r)
			rnd := rand.New(rand.NewPCG(1, 15))
			crossed, failed, most := 0, 0, 0
			for range requests {
				id := f.ids[rnd.IntN(len(f.ids))]
				name, err := ask(id)
				switch {
				case err != nil:
					if failed++; failed < 5 {
						t.Errorf("%q: %v", id, err)
					}
				case name != f.databases[id]:
					if crossed++; crossed < 5 {
						t.Errorf("%q was served from %q", id, name)
					}
				}
				most = max(most, r.Stat().OpenPools())
			}
			ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
			defer cancel()
			if err := r.Close(ctx); err != nil {
				t.Errorf("close: %v", err)
			}
			pgtest.Figure(t, "P1", "%s: %d requests of %d tenants, %d crossed, %d failed, %d pools at most",
				tr.name, requests, len(f.ids), crossed, failed, most)
			if crossed > 0 || failed > 0 || most > len(f.ids) {
				t.Errorf("%d of %d crossed, %d failed, %d pools", crossed, requests, failed, most)
			}
		})
	}
}

// handler is the library's middleware before a handler that answers with the name of the database it was given.
func handler(t *testing.T, r *tenancy.Resolver) http.Handler {
	t.Helper()
	m, err := middleware.New(middleware.Config{
		Resolver: r, Public: true,
		Identify: func(r *http.Request) (tenancy.ID, error) {
			return tenancy.ParseID(r.URL.Path[1:])
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		lease, _ := tenancy.FromContext(r.Context())
		name, err := database(r.Context(), lease.Pool())
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = io.WriteString(w, name)
	}))
}

func overHTTP(t *testing.T, r *tenancy.Resolver) func(tenancy.ID) (string, error) {
	t.Helper()
	server := &http.Server{Handler: handler(t, r), ReadHeaderTimeout: time.Minute}
	return client(t, server.Serve, server.Close)
}

func overAdaptor(t *testing.T, r *tenancy.Resolver) func(tenancy.ID) (string, error) {
	t.Helper()
	server := &fasthttp.Server{Handler: fasthttpadaptor.NewFastHTTPHandler(handler(t, r))}
	return client(t, server.Serve, server.Shutdown)
}

// overFastHTTP does without ParseID, so that Acquire alone makes the copy.
func overFastHTTP(t *testing.T, r *tenancy.Resolver) func(tenancy.ID) (string, error) {
	t.Helper()
	server := &fasthttp.Server{Handler: func(c *fasthttp.RequestCtx) {
		path := c.Path()[1:]
		id := tenancy.ID(unsafe.String(&path[0], len(path))) // as fiber's c.Params is made
		err := r.AcquireFunc(context.Background(), id, func(ctx context.Context, pool *pgxpool.Pool) error {
			name, err := database(ctx, pool)
			c.SetBodyString(name)
			return err
		})
		if err != nil {
			c.Error(err.Error(), http.StatusInternalServerError)
		}
	}}
	return client(t, server.Serve, server.Shutdown)
}

func overFiber(t *testing.T, r *tenancy.Resolver) func(tenancy.ID) (string, error) {
	t.Helper()
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Get("/:tenant", func(c *fiber.Ctx) error {
		id, err := tenancy.ParseID(c.Params("tenant"))
		if err != nil {
			return c.SendStatus(http.StatusNotFound)
		}
		lease, err := r.Acquire(c.UserContext(), id)
		if err != nil {
			return c.SendStatus(http.StatusServiceUnavailable)
		}
		defer lease.Release()
		name, err := database(c.UserContext(), lease.Pool())
		if err != nil {
			return err
		}
		return c.SendString(name)
	})
	return client(t, app.Listener, app.Shutdown)
}

// overBuffer needs no server: one piece of memory has each id.
func overBuffer(t *testing.T, r *tenancy.Resolver) func(tenancy.ID) (string, error) {
	t.Helper()
	var memory pgtest.Reused
	return func(id tenancy.ID) (name string, err error) {
		memory.Next()
		err = r.AcquireFunc(t.Context(), tenancy.ID(memory.String(string(id))),
			func(ctx context.Context, pool *pgxpool.Pool) error {
				name, err = database(ctx, pool)
				return err
			})
		return name, err
	}
}

// client starts a server and returns what asks it over one connection that is kept alive.
func client(t *testing.T, serve func(net.Listener) error, stop func() error) func(tenancy.ID) (string, error) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = serve(listener) // the end of it is an error for some
	}()
	tr := &http.Transport{MaxConnsPerHost: 1}
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		if err := stop(); err != nil {
			t.Errorf("stop the server: %v", err)
		}
		<-ended
	})
	c := &http.Client{Transport: tr, Timeout: time.Minute}
	address := "http://" + listener.Addr().String() + "/"
	return func(id tenancy.ID) (string, error) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address+string(id), nil)
		if err != nil {
			return "", err
		}
		res, err := c.Do(req)
		if err != nil {
			return "", err
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err == nil && res.StatusCode != http.StatusOK {
			err = fmt.Errorf("status %d: %s", res.StatusCode, bytes.TrimSpace(body))
		}
		return string(body), err
	}
}
