package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
)

// TestSignalLetsRequestsFinish sends SIGTERM to the built program while a sign-up is waiting for Stripe.
func TestSignalLetsRequestsFinish(t *testing.T) {
	stripe := newStripeDouble(t)
	reached, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	stripe.created = func(string) {
		once.Do(func() { close(reached); <-goOn })
	}
	p, program := startBuilt(t, stripe)
	answer := make(chan int, 1)
	go func() {
		status, _ := p.tryRegister(context.WithoutCancel(t.Context()), newSignUp("last"), nil)
		answer <- status
	}()
	pgtest.Receive(t, "the sign-up is at Stripe", reached)
	if err := program.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	host := strings.TrimPrefix(p.url, "http://")
	eventually(t, "it accepts no more", func() bool {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", host)
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
	close(goOn)
	if status := pgtest.Receive(t, "the sign-up is answered", answer); status != http.StatusCreated {
		t.Errorf("the request in flight: status %d", status)
	}
	var err error
	pgtest.Wait(t, "the program ends", func() { err = program.Wait() })
	if err != nil {
		t.Errorf("exit: %v\n%s", err, p.logs)
	}
	p.prefix = "stop_"
	if databases, _ := p.tenants(t); len(databases) != 1 {
		t.Errorf("databases %q", databases)
	}
}

// startBuilt builds the program and starts it in a process of its own.
func startBuilt(t *testing.T, stripe *stripeDouble) (*running, *exec.Cmd) {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "server")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	registry := pgtest.Database(t)
	admin, stdout := pgtest.Admin(t), &buffer{}
	r := &running{admin: admin, logs: &buffer{}}
	// Not CommandContext: that would kill what must end by itself.
	program := exec.Command(bin, "-addr=localhost:0", "-prefix=stop_", "-warm=0", "-registry="+registry.ConnConfig.Database) //nolint:noctx // see above
	program.Stdout, program.Stderr = stdout, r.logs
	program.Env = []string{
		"DATABASE_URL=" + connectionString(admin), "PGTENANCY_KEYS_FILE=" + filepath.Join(t.TempDir(), "keys.json"),
	}
	for name, value := range stripe.env() {
		program.Env = append(program.Env, name+"="+value)
	}
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = program.Process.Kill() })
	eventually(t, "the program serves", func() bool {
		r.url = strings.TrimSpace(stdout.String())
		return r.url != ""
	})
	if _, err := url.Parse(r.url); err != nil {
		t.Fatal(fmt.Errorf("%q: %w", r.url, err))
	}
	r.registry = pool(t, admin, registry.ConnConfig.Database)
	return r, program
}
