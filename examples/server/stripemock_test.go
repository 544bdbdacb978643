package main

import (
	"context"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/pgtenancy/pgtenancy/examples/server/billing"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// TestBillingSpeaksStripe runs the step against Stripe's own mock, which checks every request against Stripe's OpenAPI
// description. The mock keeps nothing, so the double tests what Stripe keeps.
func TestBillingSpeaksStripe(t *testing.T) {
	base := startStripeMock(t)
	var recorded string
	step := billing.SideEffect(billing.Config{
		Key: "sk_test_123", Base: base,
		Record: func(_ context.Context, _ tenancy.ID, customer string) error { recorded = customer; return nil },
	})
	in := provision.SideEffectInput{Key: "t1/billing", Seed: provision.Seed{
		Tenant: tenancy.Tenant{ID: "t1"}, Organization: registry.Organization{Name: "St Ann"},
	}}
	customer, err := step.Do(t.Context(), in)
	if err != nil || customer == "" || customer != recorded {
		t.Fatalf("customer %q, recorded %q, %v", customer, recorded, err)
	}
	for _, result := range []string{customer, ""} {
		in.Result = result
		if err := step.Undo(t.Context(), in); err != nil {
			t.Errorf("undo of %q: %v", result, err)
		}
	}
}

// startStripeMock builds and runs stripe-mock, of the version in ../tools/go.mod, until the end of the test.
func startStripeMock(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "stripe-mock")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "github.com/stripe/stripe-mock")
	build.Dir = filepath.Join("..", "tools")
	build.Env = append(build.Environ(), "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	_ = ln.Close()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	mock := exec.CommandContext(ctx, bin, "-http-addr", addr)
	if err := mock.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(); _ = mock.Wait() })
	eventually(t, "stripe-mock answers", func() bool {
		req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+addr+"/v1/customers", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := httpClient.Do(req)
		if err != nil {
			return false
		}
		return res.Body.Close() == nil
	})
	return "http://" + addr
}
