package fibermw_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v3"
	"github.com/valyala/fasthttp"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/middleware"
	"github.com/pgtenancy/pgtenancy/middleware/fibermw"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// counter is a body that says how many leases there are while it is read.
type counter struct {
	resolver *tenancy.Resolver
	read     bool
}

func (c *counter) Read(b []byte) (int, error) {
	if c.read {
		return 0, io.EOF
	}
	c.read = true
	return copy(b, strconv.Itoa(c.resolver.Stat().Leases())), nil
}

func closeResolver(t *testing.T, r *tenancy.Resolver) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	if err := r.Close(ctx); err != nil {
		t.Errorf("a lease is left: %v", err)
	}
}

func TestStreamHoldsTheLeaseUntilItIsSent(t *testing.T) {
	t.Parallel()
	m, resolver := newMiddleware()
	defer closeResolver(t, resolver)
	app := fiber.New()
	app.Get("/t/:tenant/stream", fibermw.New(m), func(c fiber.Ctx) error {
		return c.SendStream(&counter{resolver: resolver})
	})
	app.Get("/t/:tenant/kept", fibermw.New(m), func(c fiber.Ctx) error {
		lease := fibermw.Keep(c)
		defer lease.Release()
		if fibermw.Keep(c) != nil {
			t.Error("one lease was taken over twice")
		}
		return c.SendStream(&counter{resolver: resolver})
	})
	for path, want := range map[string]string{"/t/acme/stream": "1", "/t/acme/kept": "0"} {
		res, err := app.Test(httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || string(body) != want {
			t.Errorf("%s: %q leases while the body was sent, %v; want %s", path, body, err, want)
		}
	}
}

// tokens accepts every token, as of a user whose name it is.
type tokens struct{}

func (tokens) Verify(_ context.Context, raw string) (*authn.Identity, error) {
	return &authn.Identity{Subject: raw, Tenant: "acme"}, nil
}

// A proxy in front may have checked the other one of two headers.
func TestRepeatedHeadersAreRefused(t *testing.T) {
	t.Parallel()
	_, resolver := newMiddleware()
	defer closeResolver(t, resolver)
	m, err := middleware.New(middleware.Config{Resolver: resolver, Verifier: tokens{}})
	if err != nil {
		t.Fatal(err)
	}
	app := fiber.New()
	app.Get("/", fibermw.New(m), func(c fiber.Ctx) error { return c.SendStatus(http.StatusNoContent) })
	for want, headers := range map[int][]string{
		http.StatusNoContent: {"Bearer ada"}, http.StatusUnauthorized: {"Bearer ada", "Bearer eve"},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.Header["Authorization"] = headers
		res, err := app.Test(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		challenge := res.Header.Get("WWW-Authenticate")
		if res.StatusCode != want || strings.Contains(challenge, "invalid_token") != (want == http.StatusUnauthorized) {
			t.Errorf("%q: %d, %q", headers, res.StatusCode, challenge)
		}
	}
}

// What a Verifier returns may be kept: fiber overwrites the memory of the request with the next one.
func TestIdentityHasMemoryOfItsOwn(t *testing.T) {
	t.Parallel()
	_, resolver := newMiddleware()
	defer closeResolver(t, resolver)
	m, err := middleware.New(middleware.Config{Resolver: resolver, Verifier: tokens{}})
	if err != nil {
		t.Fatal(err)
	}
	app := fiber.New()
	var seen []string
	app.Get("/", fibermw.New(m), func(c fiber.Ctx) error {
		identity, _ := authn.FromContext(c.Context())
		seen = append(seen, identity.Subject)
		return nil
	})
	handler := app.Handler()
	var ctx fasthttp.RequestCtx
	for _, name := range []string{"ada", "bob", "cid"} {
		ctx.Request.Reset()
		ctx.Request.SetRequestURI("/")
		ctx.Request.Header.Set("Authorization", "Bearer "+name)
		handler(&ctx)
	}
	if got := strings.Join(seen, " "); got != "ada bob cid" {
		t.Errorf("the identities have become %q", got)
	}
}
