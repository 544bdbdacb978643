package tenancy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// MaxAliasLength is the longest alias in bytes: that of a host name in DNS is 253.
const MaxAliasLength = 255

// AliasDirectory finds tenants by other names than their IDs: a host name, an id that another service gave them.
//
// LookupAlias returns an error that matches [ErrNotFound] if and only if there is certainly no such alias: that answer
// is cached. ctx bounds the look-up. It is called from many goroutines, at most once at a time for one alias, and must
// not keep the string.
type AliasDirectory interface {
	LookupAlias(ctx context.Context, alias string) (ID, error)
}

// aliases caches what aliases stand for. Aliases that the directory does not know are apart from those that it knows,
// so that a flood of unknown host names forgets no known one.
type aliases struct {
	r         *Resolver
	directory AliasDirectory

	mu      sync.Mutex // guards what follows; no I/O while it is held
	known   *simplelru.LRU[string, aliased]
	unknown *simplelru.LRU[string, time.Duration] // until when
	lookups map[string]*aliasLookup
}

// aliased is what an alias stands for.
type aliased struct {
	id                  ID
	freshUntil, goodFor time.Duration // then the directory is asked; then nothing is served without its answer
}

// aliasLookup is one look-up that callers wait for.
type aliasLookup struct {
	done     chan struct{} // closed when id and err are set
	id       ID
	err      error
	outdated bool // the alias changed since it began; aliases.mu guards it
}

func newAliases(r *Resolver) *aliases {
	a := &aliases{r: r, directory: r.cfg.Aliases, lookups: map[string]*aliasLookup{}}
	var err, errUnknown error
	a.known, err = simplelru.NewLRU[string, aliased](r.cfg.MaxAliases, nil)
	a.unknown, errUnknown = simplelru.NewLRU[string, time.Duration](r.cfg.MaxNotFound, nil)
	if err = errors.Join(err, errUnknown); err != nil {
		panic(err) // both sizes are positive: Config was validated
	}
	return a
}

// ResolveAlias returns the ID of the tenant that has the alias, which is compared byte by byte: bring a host name to
// its canonical spelling before. It does not acquire anything, and the tenant may be in any state.
//
// An answer is kept for Config.TTL and, while the directory fails, for Config.StaleGrace; that there is no such alias
// for Config.NotFoundTTL. [Resolver.ForgetAlias] shortens both; registry.Registry.Follow calls it. ctx bounds the
// caller's wait. ResolveAlias returns an error that matches [ErrNotFound], or the directory's.
func (r *Resolver) ResolveAlias(ctx context.Context, alias string) (ID, error) {
	a := r.aliases
	if a.directory == nil {
		return "", errors.New("tenancy: resolve alias: Config.Aliases is not set")
	}
	if alias == "" || len(alias) > MaxAliasLength {
		return "", unknownAliasError(alias)
	}
	now := r.now()
	a.mu.Lock()
	was, known := a.known.Get(alias)
	if known && now < was.freshUntil {
		a.mu.Unlock()
		return was.id, nil
	}
	if until, ok := a.unknown.Get(alias); ok && now < until {
		a.mu.Unlock()
		return "", unknownAliasError(alias)
	}
	l, err := a.joinLocked(alias)
	a.mu.Unlock()
	if err != nil {
		return "", err
	}
	select {
	case <-l.done:
	case <-ctx.Done():
		return "", fmt.Errorf("tenancy: resolve alias: %w", ctx.Err())
	}
	if l.err != nil && !errors.Is(l.err, ErrNotFound) && known && r.now() < was.goodFor {
		return was.id, nil
	}
	return l.id, l.err
}

// ForgetAlias announces that the alias stands for another tenant now, or for none, or for the first one: no later
// ResolveAlias returns what was looked up before. The empty alias stands for all. It does not wait.
func (r *Resolver) ForgetAlias(alias string) {
	a := r.aliases
	a.mu.Lock()
	defer a.mu.Unlock()
	if alias == "" {
		a.known.Purge()
		a.unknown.Purge()
		for _, l := range a.lookups {
			l.outdated = true
		}
		clear(a.lookups)
		return
	}
	a.known.Remove(alias)
	a.unknown.Remove(alias)
	if l := a.lookups[alias]; l != nil {
		l.outdated = true
		delete(a.lookups, alias)
	}
}

// joinLocked returns the look-up of the alias that is under way, or begins one. Caller holds a.mu.
func (a *aliases) joinLocked(alias string) (*aliasLookup, error) {
	if l := a.lookups[alias]; l != nil {
		return l, nil
	}
	if !a.r.enter() {
		return nil, ErrClosed
	}
	alias = strings.Clone(alias) // it is kept
	l := &aliasLookup{done: make(chan struct{})}
	a.lookups[alias] = l
	go a.lookUp(alias, l)
	return l, nil
}

// lookUp asks the directory, and keeps the answer unless the alias changed meanwhile.
func (a *aliases) lookUp(alias string, l *aliasLookup) {
	defer a.r.wg.Done()
	began := a.r.now()
	l.id, l.err = a.ask(alias)
	a.mu.Lock()
	if !l.outdated {
		delete(a.lookups, alias)
		a.keepLocked(alias, l, began)
	}
	a.mu.Unlock()
	close(l.done)
}

// ask asks the directory. A panic in it is an error.
func (a *aliases) ask(alias string) (id ID, err error) {
	ctx, cancel := context.WithTimeout(a.r.ctx, a.r.cfg.OpenTimeout)
	defer cancel()
	defer func() {
		if v := recover(); v != nil {
			id, err = "", fmt.Errorf("tenancy: resolve alias: panic: %v", v)
		}
	}()
	id, err = a.directory.LookupAlias(ctx, alias)
	switch {
	case errors.Is(err, ErrNotFound):
		return "", unknownAliasError(alias)
	case err != nil:
		return "", fmt.Errorf("tenancy: resolve alias: %w", err)
	case !id.Valid():
		return "", fmt.Errorf("tenancy: resolve alias: %w", invalidIDError(string(id)))
	}
	return ID(strings.Clone(string(id))), nil
}

// keepLocked keeps an answer of the directory. Caller holds a.mu.
func (a *aliases) keepLocked(alias string, l *aliasLookup, began time.Duration) {
	cfg := &a.r.cfg
	switch {
	case l.err == nil:
		fresh := aliased{id: l.id, freshUntil: forever, goodFor: forever}
		if cfg.TTL >= 0 {
			fresh.freshUntil = began + cfg.TTL
			fresh.goodFor = fresh.freshUntil + max(cfg.StaleGrace, 0)
		}
		a.known.Add(alias, fresh)
		a.unknown.Remove(alias)
	case errors.Is(l.err, ErrNotFound):
		a.known.Remove(alias)
		if cfg.NotFoundTTL > 0 {
			a.unknown.Add(alias, began+cfg.NotFoundTTL)
		}
	}
}

// enter counts a goroutine of the resolver, unless it is closed.
func (r *Resolver) enter() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.wg.Add(1)
	}
	return !r.closed
}

func unknownAliasError(alias string) error {
	return fmt.Errorf("%w: alias %q", ErrNotFound, truncate(alias, 64))
}
