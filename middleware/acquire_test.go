package middleware_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/middleware"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

func TestAcquireNeedsNoHandler(t *testing.T) {
	t.Parallel()
	log := new(journal)
	resolver := newResolver(t, undialled(t), directory{"acme": "acme", "globex": "globex"})
	m := newMiddleware(t, middleware.Config{Resolver: resolver, Logger: log.logger()})
	bare := &http.Request{Host: "acme.example.com", Header: http.Header{}}
	bare.Header.Set("Authorization", "Bearer "+token(t, "acme"))
	ctx, lease, err := m.Acquire(bare.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	identity, _ := authn.FromContext(ctx)
	addressed, _ := middleware.Addressed(ctx)
	if tenancy.MustFromContext(ctx) != lease || lease.Tenant().ID != "acme" || identity.Subject != "admin1" ||
		addressed != "acme" || resolver.Stat().Leases() != 1 {
		t.Errorf("lease of %q, identity %v, addressed %q", lease.Tenant().ID, identity, addressed)
	}
	lease.Release()
	if log.String() != "" {
		t.Errorf("logged: %s", log)
	}

	for host, want := range map[string]struct {
		tenant string
		err    error
		code   uint32
	}{
		"globex.example.com":  {"acme", middleware.ErrTenantMismatch, 5},
		"initech.example.com": {"initech", tenancy.ErrNotFound, 5},
		"acme.example.com":    {"", authn.ErrTokenMissing, 16},
		"ac me.example.com":   {"acme", middleware.ErrMisaddressed, 5},
	} {
		r := request(t, host, want.tenant)
		ctx, lease, err := m.Acquire(r)
		if !errors.Is(err, want.err) || middleware.GRPCCode(err) != want.code || lease != nil {
			t.Errorf("%s: %v, code %d", host, err, middleware.GRPCCode(err))
		}
		if _, ok := tenancy.FromContext(ctx); ok {
			t.Errorf("%s: a lease in the context", host)
		}
		w := httptest.NewRecorder()
		m.Refuse(w, r.WithContext(ctx), err)
		if w.Code != middleware.StatusCode(want.err) {
			t.Errorf("%s: answered %d", host, w.Code)
		}
	}
	if n := strings.Count(log.String(), "request refused"); n != 4 {
		t.Errorf("%d refusals in the log:\n%s", n, log)
	}
	if n := resolver.Stat().Leases(); n != 0 {
		t.Errorf("%d leases", n)
	}
}

func TestAcquireOfACallerThatHasGone(t *testing.T) {
	t.Parallel()
	m := newMiddleware(t, middleware.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, lease, err := m.Acquire(request(t, "acme.example.com", "acme").WithContext(ctx))
	if code := middleware.GRPCCode(err); lease != nil || code != 1 {
		t.Errorf("%v: code %d", err, code)
	}
}
