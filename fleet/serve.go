package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

const defaultStopTimeout = 20 * time.Second

// Serve runs server on ln until ctx ends, and then stops in order: Check fails; Config.UnreadyFor later the server
// accepts no more and the requests that run finish, within Config.StopTimeout; then Close has as long. It returns nil
// if everything came to rest by itself. If the server fails, Serve closes the fleet and returns the server's error,
// too.
//
// A server that is shut down by other means ends Serve in the same way. Requests get contexts that do not end with ctx,
// unless server.BaseContext says otherwise.
func (f *Fleet) Serve(ctx context.Context, server *http.Server, ln net.Listener) error {
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	var err error
	select {
	case err = <-served:
		f.Unready()
	case <-ctx.Done():
		f.Unready()
		err = f.shutdown(ctx, server, served)
	}
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), f.stopTimeout)
	defer cancel()
	return errors.Join(err, f.Close(drain))
}

// shutdown ends the server, and waits until it has ended.
func (f *Fleet) shutdown(ctx context.Context, server *http.Server, served <-chan error) error {
	timer := time.NewTimer(f.unreadyFor)
	defer timer.Stop()
	select {
	case err := <-served:
		return err
	case <-timer.C:
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), f.stopTimeout)
	defer cancel()
	err := server.Shutdown(drain)
	if err != nil {
		err = errors.Join(fmt.Errorf("fleet: serve: requests did not finish: %w", err), server.Close())
	}
	if failed := <-served; !errors.Is(failed, http.ErrServerClosed) {
		err = errors.Join(err, failed)
	}
	return err
}

// setTimes takes the times of Serve from cfg.
func (f *Fleet) setTimes(cfg Config) error {
	f.unreadyFor, f.stopTimeout = cfg.UnreadyFor, cmp.Or(cfg.StopTimeout, defaultStopTimeout)
	var errs []error
	if cfg.UnreadyFor < 0 {
		errs = append(errs, errors.New("fleet: Config.UnreadyFor: must not be negative"))
	}
	if cfg.StopTimeout < 0 {
		errs = append(errs, errors.New("fleet: Config.StopTimeout: must not be negative"))
	}
	return errors.Join(errs...)
}
