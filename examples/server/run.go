package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/internal/devpg"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// stopTimeout bounds how long requests may take to finish after a signal to stop, and then how long leases may.
const stopTimeout = 20 * time.Second

// run is the program: it serves until ctx ends, then finishes what it has begun.
func run(ctx context.Context, args []string, p process) (err error) {
	o, err := parseOptions(args, p)
	if err != nil {
		return err
	}
	pg, err := devpg.Start(ctx, devpg.Config{
		URL: o.databaseURL, Dir: o.data, Settings: map[string]string{"max_connections": "300"},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pg.Stop()) }()

	log := slog.New(tracing{slog.NewJSONHandler(p.stderr, nil)})
	a, err := newApp(ctx, o, pg.Config(), log, p.hooks)
	if err != nil {
		return err
	}
	err = a.serve(ctx, o, p)
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	return errors.Join(err, a.close(drain))
}

// serve listens until ctx ends or one of the program's loops fails, and returns when everything has come to rest.
func (a *app) serve(ctx context.Context, o options, p process) error {
	handler, err := a.handler(o, p.hooks)
	if err != nil {
		return err
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", o.addr)
	if err != nil {
		return err
	}
	server := newServer(handler, a.log)

	// The loops outlive the server: a sign-up that fails while it finishes is undone here if there is time, and
	// otherwise by the next process.
	loops, stopLoops := context.WithCancel(context.WithoutCancel(ctx))
	defer stopLoops()
	group, failed := errgroup.WithContext(loops)
	group.Go(func() error { return a.provisioner.Run(loops) })
	group.Go(func() error { return a.registry.Follow(loops, follower{a.resolver, a.verifier}) })
	group.Go(func() error {
		if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	fmt.Fprintln(p.stdout, address(o.addr, ln))
	select {
	case <-ctx.Done():
	case <-failed.Done():
	}
	err = a.stop(context.WithoutCancel(ctx), server)
	stopLoops()
	return errors.Join(err, group.Wait())
}

// follower receives every change to a tenant and every closed session.
type follower struct {
	*tenancy.Resolver
	*authn.Cache
}

// address is the URL of what ln listens to, with the host as it was asked for: a browser takes http://localhost for
// secure, and so keeps the cookies.
func address(asked string, ln net.Listener) string {
	host, _, _ := net.SplitHostPort(asked) // it was listened to, so it is well formed
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	if host == "" {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// stop accepts no more and waits for the requests that run.
func (a *app) stop(ctx context.Context, server *http.Server) error {
	a.stopping.Store(true)
	a.log.LogAttrs(ctx, slog.LevelInfo, "stopping")
	shutdown, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	err := server.Shutdown(shutdown)
	if err != nil {
		err = errors.Join(fmt.Errorf("requests did not finish: %w", err), server.Close())
	}
	return err
}

func newServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           unchunked(handler),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      60 * time.Second, // a sign-up that waits for a busy server is the longest answer
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}
