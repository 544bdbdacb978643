package jwks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/pgtenancy/pgtenancy/authn"
)

// maxWaiting is how many tokens may wait for one fetch. Each holds a request.
const maxWaiting = 256

var (
	errClosed = errors.New("jwks: verifier closed")
	errStale  = errors.New("jwks: no key set yet, or too old a one")
	errBusy   = errors.New("jwks: too many tokens wait for the key set")
)

// set is the keys that were fetched last. It is the authn.KeySource of a Remote. One goroutine, run, fetches.
type set struct {
	fetch    func(ctx context.Context) (map[string]authn.Key, error)
	interval time.Duration
	cooldown time.Duration
	maxStale time.Duration
	logger   *slog.Logger

	kick  chan struct{} // holds one: fetch now
	first chan struct{} // closed when there is a set
	done  chan struct{} // closed when run has ended

	// mu guards what follows. Nothing is fetched while it is held.
	mu      sync.Mutex
	keys    map[string]authn.Key
	fetched time.Time     // when keys came
	tried   time.Time     // when the last fetch began, or was asked for
	err     error         // of the last fetch
	flight  chan struct{} // closed at the end of the fetch that is under way or asked for; nil: there is none
	waiting int           // tokens that wait for flight
	closed  bool
}

func newSet(cfg RemoteConfig) *set {
	return &set{
		fetch: fetcher(cfg.URL, cfg.Client), interval: cfg.Interval, cooldown: cfg.Cooldown, maxStale: cfg.MaxStale,
		logger: cfg.Logger, kick: make(chan struct{}, 1), first: make(chan struct{}), done: make(chan struct{}),
		tried: time.Now(), flight: make(chan struct{}), // run begins with a fetch
	}
}

// Key implements authn.KeySource. A key that is not there is looked for once more when the set has been fetched anew.
func (s *set) Key(ctx context.Context, id string) (authn.Key, error) {
	key, flight, err := s.find(id, true)
	if flight == nil {
		return key, err
	}
	select {
	case <-flight:
	case <-ctx.Done():
		err = fmt.Errorf("jwks: wait for the key set: %w", ctx.Err())
	}
	s.mu.Lock()
	s.waiting--
	s.mu.Unlock()
	if err != nil {
		return authn.Key{}, err
	}
	key, _, err = s.find(id, false)
	return key, err
}

// find returns the key, or a fetch to wait for, or why there is neither. waiting counts the callers that wait.
func (s *set) find(id string, mayWait bool) (key authn.Key, flight <-chan struct{}, err error) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	fresh := s.fresh(now)
	if key, ok := s.keys[id]; ok && fresh {
		return key, nil, nil
	}
	if mayWait && s.flight == nil && !s.closed && now.Sub(s.tried) >= s.cooldown {
		s.flight, s.tried = make(chan struct{}), now
		s.kick <- struct{}{} // never blocks: begin takes it out before flight is nil again
	}
	switch {
	case mayWait && s.flight != nil && s.waiting >= maxWaiting:
		return authn.Key{}, nil, errBusy
	case mayWait && s.flight != nil:
		s.waiting++
		return authn.Key{}, s.flight, nil
	case fresh && s.err == nil:
		return authn.Key{}, nil, authn.ErrTokenInvalid
	}
	return authn.Key{}, nil, cmp.Or(s.err, errStale)
}

// fresh reports whether the keys may be used. The caller holds mu.
func (s *set) fresh(now time.Time) bool { return s.keys != nil && now.Sub(s.fetched) <= s.maxStale }

// HasKey implements authn.KeySource.
func (s *set) HasKey(id string) bool {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.keys[id]
	return ok && s.fresh(now)
}

func (s *set) ready(ctx context.Context) error {
	select {
	case <-s.first:
	case <-s.done:
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.keys != nil:
		return nil
	case s.closed:
		return errClosed
	}
	return errors.Join(fmt.Errorf("jwks: wait for the key set: %w", ctx.Err()), s.err)
}
