package fleet_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/pgtenancy/pgtenancy/fleet"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// TestServeFinishesRequestsBeforeItCloses stops a server while a request is half answered.
func TestServeFinishesRequestsBeforeItCloses(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	opened := f.open(t)
	_, err := opened.Provisioner().Create(t.Context(), provision.Request{ID: "acme"})
	must(t, err)
	began, goOn := make(chan bool, 1), make(chan bool)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		lease, err := opened.Resolver().Acquire(r.Context(), "acme")
		if err != nil {
			t.Error(err)
			return
		}
		defer lease.Release()
		began <- true
		<-goOn
		if err := lease.Pool().Ping(r.Context()); err != nil {
			t.Error(err)
		}
		_, _ = io.WriteString(w, "served")
	})
	server := &http.Server{ReadTimeout: time.Minute, Handler: handler}
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "localhost:0")
	must(t, err)
	ctx, stop := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- opened.Serve(ctx, server, ln) }()
	answers := make(chan string, 1)
	go func() { answers <- fetch(t, "http://"+ln.Addr().String()) }()
	pgtest.Receive(t, "the request begins", began)
	stop()
	pgtest.Eventually(t, "the probe fails", func() bool { return probe(opened) == http.StatusServiceUnavailable })
	select {
	case err := <-stopped:
		t.Fatalf("stopped in the middle of a request: %v", err)
	default:
	}
	goOn <- true
	if got := pgtest.Receive(t, "the answer", answers); got != "served" {
		t.Errorf("answer %q", got)
	}
	must(t, pgtest.Receive(t, "Serve returns", stopped))
	if _, err := opened.Resolver().Acquire(t.Context(), "acme"); !errors.Is(err, tenancy.ErrClosed) {
		t.Errorf("after Serve: %v", err)
	}
	pgtest.Eventually(t, "no session is left", func() bool { return len(f.sessions(t)) == 0 })
}

func TestServeStopsAfterItsTimeAndWhenTheServerFails(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	began := make(chan bool, 1)
	handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		began <- true
		<-r.Context().Done()
	})
	stuck := &http.Server{ReadTimeout: time.Minute, Handler: handler}
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "localhost:0")
	must(t, err)
	ctx, stop := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	opened := f.open(t, func(c *fleet.Config) { c.StopTimeout = time.Millisecond })
	go func() { stopped <- opened.Serve(ctx, stuck, ln) }()
	answers := make(chan string, 1)
	go func() { answers <- fetch(t, "http://"+ln.Addr().String()) }()
	pgtest.Receive(t, "the request begins", began)
	stop()
	if err := pgtest.Receive(t, "Serve returns", stopped); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a request that does not end: %v", err)
	}
	pgtest.Receive(t, "the client is cut off", answers)
	other := f.open(t)
	if err := other.Serve(t.Context(), new(http.Server), ln); !errors.Is(err, net.ErrClosed) { // the listener is closed
		t.Errorf("a server that fails: %v", err)
	}
	if other.Check(t.Context()) == nil {
		t.Error("ready after Serve")
	}
}

func fetch(t *testing.T, url string) string {
	req, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), "GET", url, nil)
	if err != nil {
		t.Error(err)
		return ""
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	raw, _ := io.ReadAll(res.Body)
	return string(raw)
}
