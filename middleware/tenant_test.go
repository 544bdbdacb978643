package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/middleware"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

func TestEveryRequestReachesItsTenantsDatabase(t *testing.T) {
	t.Parallel()
	base := pgtest.Database(t)
	databases := directory{"acme": base.ConnConfig.Database}
	for _, id := range []tenancy.ID{"globex", "initech"} {
		databases[id] = pgtest.Database(t).ConnConfig.Database
	}
	resolver := newResolver(t, base, databases)
	m := newMiddleware(t, middleware.Config{Resolver: resolver})
	server := httptest.NewServer(m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		lease, _ := tenancy.FromContext(r.Context())
		var name string
		if err := lease.Pool().QueryRow(r.Context(), "SELECT current_database()").Scan(&name); err != nil {
			middleware.WriteProblem(w, r, err)
			return
		}
		_, _ = io.WriteString(w, name)
	})))
	defer server.Close()

	var wg sync.WaitGroup
	for id, database := range databases {
		for range 10 {
			wg.Go(func() {
				for _, host := range []string{string(id) + ".example.com", "example.com"} {
					if got := get(t, server, host, string(id)); got != "200 OK "+database {
						t.Errorf("%s with a token for %s: %q, want %q", host, id, got, database)
					}
				}
				for other := range databases {
					if other == id {
						continue
					}
					if got := get(t, server, string(other)+".example.com", string(id)); !strings.HasPrefix(got, "404 ") {
						t.Errorf("%s with a token for %s: %q", other, id, got)
					}
				}
			})
		}
	}
	pgtest.Wait(t, "every goroutine ends", wg.Wait)
	if n := resolver.Stat().Leases(); n != 0 {
		t.Errorf("%d leases are left", n)
	}
}

// get returns status and body.
func get(t *testing.T, server *httptest.Server, host, tenant string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
	if err != nil {
		t.Error(err)
		return ""
	}
	r.Host = host
	r.Header.Set("Authorization", "Bearer "+token(t, tenant))
	res, err := server.Client().Do(r)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Error(err)
	}
	return res.Status + " " + string(body)
}

func TestLeaseEndsWithTheHandler(t *testing.T) {
	t.Parallel()
	resolver := newResolver(t, undialled(t), directory{"acme": "acme"})
	m := newMiddleware(t, middleware.Config{Resolver: resolver})
	for _, value := range []any{nil, "boom", http.ErrAbortHandler} {
		h := m.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			if n := resolver.Stat().Leases(); n != 1 {
				t.Errorf("%d leases in the handler", n)
			}
			if value != nil {
				panic(value)
			}
		}))
		got := func() (v any) {
			defer func() { v = recover() }()
			serve(h, request(t, "acme.example.com", "acme"))
			return nil
		}()
		if got != value {
			t.Errorf("panic with %v came out as %v", value, got)
		}
		if n := resolver.Stat().Leases(); n != 0 {
			t.Errorf("after %v: %d leases are left", value, n)
		}
	}
}

// dump returns the whole answer as it goes over the wire, but for its date.
func dump(t *testing.T, server *httptest.Server, r *http.Request) string {
	t.Helper()
	r.URL.Scheme, r.URL.Host, r.RequestURI = "http", strings.TrimPrefix(server.URL, "http://"), ""
	res, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	all, err := httputil.DumpResponse(res, true)
	if err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile(`(?m)^Date: .*\r$`).ReplaceAllString(string(all), "Date: *\r")
}

func TestForeignUnknownAndForbiddenAnswerAlike(t *testing.T) {
	t.Parallel()
	states := map[tenancy.ID]tenancy.State{
		"acme": tenancy.Active, "globex": tenancy.Active, "old": tenancy.Deleting, "failed": tenancy.Failing,
	}
	d := tenancy.DirectoryFunc(func(_ context.Context, id tenancy.ID) (tenancy.Tenant, error) {
		s, ok := states[id]
		if !ok {
			return tenancy.Tenant{}, tenancy.ErrNotFound
		}
		return tenancy.Tenant{ID: id, State: s, Endpoint: tenancy.Endpoint{Database: string(id)}}, nil
	})
	resolver := newResolver(t, undialled(t), d)
	last := http.HandlerFunc(served)
	server := httptest.NewServer(newMiddleware(t, middleware.Config{Resolver: resolver}).Handler(last))
	defer server.Close()
	public := httptest.NewServer(newMiddleware(t, middleware.Config{Resolver: resolver, Public: true}).Handler(last))
	defer public.Close()

	want := dump(t, server, request(t, "nobody.example.com", "nobody"))
	const status, body = "HTTP/1.1 404 Not Found\r\n", `{"title":"Not Found","status":404}`
	if !strings.HasPrefix(want, status) || !strings.HasSuffix(want, body) {
		t.Fatalf("unknown tenant: %q", want)
	}
	for name, got := range map[string]string{
		"unknown to the token":   dump(t, server, request(t, "nobody.example.com", "acme")),
		"mismatch":               dump(t, server, request(t, "globex.example.com", "acme")),
		"mismatch, deleting":     dump(t, server, request(t, "old.example.com", "acme")),
		"deleting":               dump(t, server, request(t, "old.example.com", "old")),
		"failing":                dump(t, server, request(t, "failed.example.com", "failed")),
		"no tenant's id":         dump(t, server, request(t, "-.example.com", "acme")),
		"another domain":         dump(t, server, request(t, "acme.evil.net", "acme")),
		"an address":             dump(t, server, request(t, "127.0.0.1", "acme")),
		"public, unknown":        dump(t, public, request(t, "nobody.example.com", "")),
		"public, none":           dump(t, public, request(t, "example.com", "")),
		"public, another domain": dump(t, public, request(t, "acme.evil.net", "")),
	} {
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s differs from unknown (-unknown +got)\n%s", name, diff)
		}
	}
}

func TestTenantThatCannotBeLeasedSaysWhyToItsOwnPeople(t *testing.T) {
	t.Parallel()
	var lookup error
	s := tenancy.Suspended
	d := tenancy.DirectoryFunc(func(_ context.Context, id tenancy.ID) (tenancy.Tenant, error) {
		return tenancy.Tenant{ID: id, State: s}, lookup
	})
	for _, c := range []struct {
		state  tenancy.State
		lookup error
		want   int
	}{
		{tenancy.Suspended, nil, http.StatusForbidden},
		{tenancy.Provisioning, nil, http.StatusServiceUnavailable},
		{tenancy.Moving, nil, http.StatusServiceUnavailable},
		{"", errors.New("registry: 10.0.0.1 refused"), http.StatusServiceUnavailable},
		{"", fmt.Errorf("registry: %w", context.DeadlineExceeded), http.StatusServiceUnavailable},
		{"", fmt.Errorf("registry: %w", context.Canceled), http.StatusServiceUnavailable},
		{tenancy.Active, nil, http.StatusServiceUnavailable}, // without a database
	} {
		s, lookup = c.state, c.lookup
		var log journal
		m := newMiddleware(t, middleware.Config{Resolver: newResolver(t, undialled(t), d), Logger: log.logger()})
		w := serve(m.Handler(http.HandlerFunc(served)), request(t, "acme.example.com", "acme"))
		retry := w.Header().Get("Retry-After")
		if w.Code != c.want || (retry != "") != (c.want == http.StatusServiceUnavailable) {
			t.Errorf("%s, %v: %d, Retry-After %q", c.state, c.lookup, w.Code, retry)
		}
		if strings.Contains(w.Body.String(), "registry") || strings.Contains(w.Body.String(), "tenancy") {
			t.Errorf("%s, %v: the client reads %s", c.state, c.lookup, w.Body)
		}
		if c.lookup != nil && !strings.Contains(log.String(), c.lookup.Error()) {
			t.Errorf("%v: the log reads %q", c.lookup, &log)
		}
	}
}

func TestClientThatLeavesTheQueueGetsNothing(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{})
	d := tenancy.DirectoryFunc(func(ctx context.Context, _ tenancy.ID) (tenancy.Tenant, error) {
		close(asked)
		<-ctx.Done()
		return tenancy.Tenant{}, ctx.Err()
	})
	resolver := newResolver(t, undialled(t), d)
	var log journal
	m := newMiddleware(t, middleware.Config{Resolver: resolver, Logger: log.logger()})
	ctx, cancel := context.WithCancel(t.Context())
	w := httptest.NewRecorder()
	done := make(chan error)
	r := request(t, "acme.example.com", "acme").WithContext(ctx)
	go func() {
		defer func() {
			err, _ := recover().(error)
			done <- err
		}()
		m.Handler(http.HandlerFunc(served)).ServeHTTP(w, r)
	}()
	pgtest.Receive(t, "the directory is asked", asked)
	cancel()
	if err := pgtest.Receive(t, "the request ends", done); !errors.Is(err, http.ErrAbortHandler) {
		t.Errorf("the handler ended with %v", err)
	}
	if w.Body.Len() != 0 || len(w.Header()) != 0 {
		t.Errorf("written: %q %q", w.Header(), w.Body)
	}
	if !strings.Contains(log.String(), "level=DEBUG") || !strings.Contains(log.String(), "status=499") {
		t.Errorf("log: %s", &log)
	}
	if n := resolver.Stat().Leases(); n != 0 {
		t.Errorf("%d leases are left", n)
	}
}
