package middleware_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/middleware"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// directory knows an active tenant for each of its IDs, in the database it maps to.
type directory map[tenancy.ID]string

func (d directory) Lookup(_ context.Context, id tenancy.ID) (tenancy.Tenant, error) {
	database, ok := d[id]
	if !ok {
		return tenancy.Tenant{}, tenancy.ErrNotFound
	}
	return tenancy.Tenant{ID: id, State: tenancy.Active, Endpoint: tenancy.Endpoint{Database: database}}, nil
}

// undialled is for pools without queries.
func undialled(t testing.TB) *pgxpool.Config {
	t.Helper()
	base, err := pgxpool.ParseConfig("host=127.0.0.1 port=1 user=nobody dbname=none sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	return base
}

func newResolver(t testing.TB, base *pgxpool.Config, d tenancy.Directory) *tenancy.Resolver {
	t.Helper()
	resolver, err := tenancy.New(tenancy.Config{Directory: d, Base: base})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 30*time.Second)
		defer cancel()
		if err := resolver.Close(ctx); err != nil {
			t.Errorf("close the resolver: %v", err)
		}
	})
	return resolver
}

func newKey(t testing.TB) authn.Key {
	t.Helper()
	key, err := authn.NewHMACKey("k1", []byte("a secret of at least 32 bytes, or so"))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newVerifier(t testing.TB) *authn.Verifier {
	t.Helper()
	v, err := authn.NewVerifier(authn.VerifierConfig{Keys: []authn.Key{newKey(t)}, Issuer: "test", Audience: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// token returns an access token for the tenant.
func token(t testing.TB, tenant string) string {
	t.Helper()
	issuer, err := authn.NewIssuer(authn.IssuerConfig{Key: newKey(t), Issuer: "test", Audience: "test"})
	if err != nil {
		t.Fatal(err)
	}
	raw, _, err := issuer.Issue(authn.Identity{Subject: "admin1", Tenant: tenant, Session: "s1"})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// newMiddleware fills in what cfg leaves out: a resolver that knows acme and globex, a verifier, subdomains of
// example.com.
func newMiddleware(t testing.TB, cfg middleware.Config) *middleware.Middleware {
	t.Helper()
	if cfg.Resolver == nil {
		cfg.Resolver = newResolver(t, undialled(t), directory{"acme": "acme", "globex": "globex"})
	}
	if cfg.Verifier == nil && !cfg.Public {
		cfg.Verifier = newVerifier(t)
	}
	if cfg.Identify == nil {
		cfg.Identify = subdomain(t, "example.com")
	}
	m, err := middleware.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func subdomain(tb testing.TB, base string) middleware.Identifier {
	tb.Helper()
	identify, err := middleware.FromSubdomain(base)
	if err != nil {
		tb.Fatal(err)
	}
	return identify
}

// request addresses host, with a token for the tenant unless that is empty.
func request(t testing.TB, host, tenant string) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/members", nil)
	r.Host = host
	if tenant != "" {
		r.Header.Set("Authorization", "Bearer "+token(t, tenant))
	}
	return r
}

func serve(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// served answers with the ID of the tenant whose lease it finds.
func served(w http.ResponseWriter, r *http.Request) {
	lease, ok := tenancy.FromContext(r.Context())
	if !ok {
		http.Error(w, "no lease", http.StatusInternalServerError)
		return
	}
	_, _ = w.Write([]byte("tenant " + lease.Tenant().ID.String()))
}

// journal is a log that tests read.
type journal struct {
	mu  sync.Mutex
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
	return strings.TrimSpace(j.buf.String())
}

func (j *journal) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(j, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
