package middleware_test

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/middleware"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// keeper is a slog.Handler that keeps what it is given, and ignores what the words of a Record say of that.
type keeper struct {
	slog.Handler
	mu    sync.Mutex
	lines []slog.Record
}

func (k *keeper) Enabled(context.Context, slog.Level) bool { return true }

func (k *keeper) Handle(_ context.Context, r slog.Record) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lines = append(k.lines, r)
	return nil
}

// reusedSeen holds the kept values of one request, and the expected ones.
type reusedSeen struct {
	id        tenancy.ID
	addressed tenancy.ID
	leased    tenancy.ID
	err       error
}

func FuzzServersReuseTheMemoryOfRequests(f *testing.F) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 10 {
		program := make([]byte, 100)
		for i := range program {
			program[i] = byte(rnd.Uint32())
		}
		f.Add(program)
	}
	f.Fuzz(func(t *testing.T, program []byte) {
		ids := []tenancy.ID{"aa", "ab", "ba", "bb", "za", "zb"}
		known := directory{"aa": "aa", "ab": "ab", "ba": "ba", "bb": "bb"}
		var (
			memory pgtest.Reused
			all    []reusedSeen
			now    reusedSeen
			log    keeper
		)
		ways := []middleware.Identifier{
			middleware.FromTrustedHeader("X-Tenant", netip.MustParsePrefix("10.0.0.0/8")),
			middleware.FromPathValue("tenant"), subdomain(t, "example.com"),
		}
		identify := middleware.FirstOf(ways...)
		clear(ways) // FirstOf has its own
		m := newMiddleware(t, middleware.Config{
			Resolver: newResolver(t, undialled(t), known), Public: true, Identify: identify, Logger: slog.New(&log),
			ErrorHandler: func(_ http.ResponseWriter, _ *http.Request, err error) { now.err = err },
		})
		h := m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			lease, _ := tenancy.FromContext(r.Context())
			now.addressed, _ = middleware.Addressed(r.Context())
			now.leased = lease.Tenant().ID
			if got := lease.Pool().Config().ConnConfig.Database; got != string(now.id) {
				t.Fatalf("tenant %q was given the database %q", now.id, got)
			}
		}))
		for ; len(program) > 1; program = program[2:] {
			id := ids[int(program[1])%len(ids)]
			now = reusedSeen{id: id}
			r := (&http.Request{
				Method: memory.String(http.MethodGet), URL: &url.URL{Path: memory.String("/members")}, Header: http.Header{},
				RemoteAddr: memory.String("10.1.2.3:99"), Host: memory.String("example.com"),
			}).WithContext(t.Context())
			switch program[0] % 3 {
			case 0:
				r.Header["X-Tenant"] = []string{memory.String(string(id))}
			case 1:
				r.SetPathValue("tenant", memory.String(string(id)))
			case 2:
				r.Host = memory.String(string(id) + ".example.com")
			}
			h.ServeHTTP(httptest.NewRecorder(), r)
			all = append(all, now)
			memory.Next()
		}
		for _, s := range all {
			_, ok := known[s.id]
			switch {
			case ok && (s.addressed != s.id || s.leased != s.id):
				t.Errorf("%q: what was kept says %q and %q", s.id, s.addressed, s.leased)
			case !ok && (s.err == nil || !strings.Contains(s.err.Error(), string(s.id))):
				t.Errorf("%q: what was kept says %v", s.id, s.err)
			}
		}
		for _, line := range log.lines {
			line.Attrs(func(a slog.Attr) bool {
				if a.Key == "method" && a.Value.String() != http.MethodGet {
					t.Errorf("the log has the method %q", a.Value)
				}
				return true
			})
		}
		if slices.ContainsFunc(all, func(s reusedSeen) bool { return s.err != nil }) && len(log.lines) == 0 {
			t.Error("the log has nothing")
		}
	})
}
