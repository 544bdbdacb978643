package jwks

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/pgtenancy/pgtenancy/authn"
)

// firstRetry is the time from the first failure to the next fetch. It doubles up to the cooldown.
const firstRetry = time.Second

// run fetches the set at once, every interval, and when it is asked to, until ctx ends.
func (s *set) run(ctx context.Context) {
	defer close(s.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for failures := 0; ; {
		select {
		case <-ctx.Done():
			s.close()
			return
		case <-timer.C:
		case <-s.kick:
		}
		s.begin()
		keys, err := s.fetch(ctx)
		s.end(keys, err)
		s.note(ctx, err, failures > 0)
		next := s.interval - rand.N(s.interval/10) //nolint:gosec // jitter
		if failures++; err == nil {
			failures = 0
		} else {
			next = min(firstRetry<<min(failures-1, 10), s.cooldown)
		}
		timer.Reset(next)
	}
}

func (s *set) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.kick: // this fetch answers the request
	default:
	}
	if s.flight == nil {
		s.flight = make(chan struct{})
	}
	s.tried = time.Now()
}

// end publishes the fetched keys. After a failure the keys stay as they are.
func (s *set) end(keys map[string]authn.Key, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err = err; err == nil {
		if s.keys == nil {
			close(s.first)
		}
		s.keys, s.fetched = keys, time.Now()
	}
	close(s.flight)
	s.flight = nil
}

// close ends all waiting for a fetch.
func (s *set) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed, s.err = true, errClosed
	if s.flight != nil {
		close(s.flight)
		s.flight = nil
	}
}

// note logs the first of failures in a row, and the end of the row.
func (s *set) note(ctx context.Context, err error, failing bool) {
	switch {
	case ctx.Err() != nil:
	case err != nil && !failing:
		s.logger.LogAttrs(ctx, slog.LevelWarn, "jwks: the key set cannot be fetched", slog.Any("error", err))
	case err == nil && failing:
		s.logger.LogAttrs(ctx, slog.LevelInfo, "jwks: the key set is fetched again")
	}
}
