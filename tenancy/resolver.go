package tenancy

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/connstring"
	"github.com/pgtenancy/pgtenancy/internal/histogram"
	"github.com/pgtenancy/pgtenancy/internal/pgerr"
)

// Resolver maps a tenant's ID to the pool of the tenant's database. It opens pools on demand, shares one pool for each
// tenant, and closes pools that fall idle or must make room. A Resolver is safe for concurrent use. Create one with
// [New] and release it with [Resolver.Close].
type Resolver struct {
	cfg     Config // defaults filled in
	start   time.Time
	tick    time.Duration
	coarse  atomic.Int64       // now as of the last tick, for the hit path: time.Now would double its cost
	ctx     context.Context    // look-ups and pools run under it
	cancel  context.CancelFunc // called by Close
	log     outageLog
	waits   struct{ acquire, lookup histogram.Histogram }
	aliases *aliases
	wg      sync.WaitGroup // every goroutine of the resolver
	done    chan struct{}  // closed when the resolver is closed and the last of them has ended

	// mu guards everything below, and the mutable fields of entry, opening, slots and notFound. No I/O, callback,
	// Directory, opening or closing of a pool happens while it is held, and no lock but those of package connbudget is
	// taken.
	mu              sync.Mutex
	closed          bool
	entries         *simplelru.LRU[ID, *entry] // the active ones; those without leases in the order they fell idle
	unleased        int                        // how many of them have no lease
	asleep          int                        // how many have no pool, because it had no connection
	sleepCandidates []*entry                   // had a pool and no lease at some time since the last sweep
	retiring        map[*entry]struct{}        // evicted but not closed
	openings        map[ID]*opening
	attaching       map[*tenantPool]struct{} // Config.Attach runs for them
	notFound        *notFound
	slots           slots
	servers         map[string]*server // never removed: budget and health outlive a server's pools
	leases          int
	count           counters
}

// counters are the cumulative figures; Resolver.mu guards them.
type counters struct {
	hits, misses, notFound, lookups, opened, woken, failed, stale int64
	evicted                                                       [causes]int64
}

// New returns a resolver that is ready to use. It dials nothing. If cfg is wrong, the error names every field that is.
func New(cfg Config) (*Resolver, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	var err error
	if cfg.Base, err = copyBase(cfg.Base); err != nil {
		return nil, fmt.Errorf("tenancy: Config.Base: %w", pgerr.Redact(err))
	}
	bases := make(map[string]*pgxpool.Config, len(cfg.Bases))
	for name, base := range cfg.Bases {
		if bases[strings.Clone(name)], err = copyBase(base); err != nil {
			return nil, fmt.Errorf("tenancy: Config.Bases[%q]: %w", name, pgerr.Redact(err))
		}
	}
	cfg.Bases = bases
	entries, err := simplelru.NewLRU[ID, *entry](cfg.MaxPools, nil)
	if err != nil {
		return nil, fmt.Errorf("tenancy: Config.MaxPools: %w", err)
	}
	r := &Resolver{
		cfg:       cfg,
		start:     time.Now(),
		tick:      cfg.tick(),
		done:      make(chan struct{}),
		entries:   entries,
		retiring:  make(map[*entry]struct{}),
		openings:  make(map[ID]*opening),
		attaching: make(map[*tenantPool]struct{}),
		notFound:  newNotFound(cfg.MaxNotFound, cfg.NotFoundTTL),
		slots:     slots{limit: cfg.MaxPools},
		servers:   make(map[string]*server),
	}
	r.log = outageLog{logger: cfg.Logger, now: r.now, servers: make(map[string]*outage)}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.aliases = newAliases(r)
	r.wg.Add(1)
	go r.sweep()
	return r, nil
}

// copyBase returns a copy without the connection string.
func copyBase(base *pgxpool.Config) (*pgxpool.Config, error) {
	base = base.Copy()
	var err error
	base.ConnConfig, err = connstring.Remove(base.ConnConfig)
	return base, err
}

// Evict closes the pool of tenant id as soon as its leases are released. The next Acquire opens a new one. It does
// nothing if no pool is open. It does not wait.
func (r *Resolver) Evict(id ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e, ok := r.entries.Peek(id); ok {
		r.evictLocked(e, CauseExplicit, evictedError(id))
	}
}

// Invalidate announces that tenant id changed and that its record now has the given epoch. A record with a smaller
// epoch that was looked up before is not used by any later Acquire: a look-up in flight is repeated, and a remembered
// "no such tenant" is forgotten. Epoch 0 means that there was a change; then every record looked up before counts as
// older. Invalidate does not wait.
//
// The directory is asked at once. If the tenant is no longer active, or its Endpoint leads elsewhere, or the directory
// does not answer, the pool drains, and the channel of [Lease.Done] is closed. Otherwise the pool stays. If only the
// password changed, its connections stay too; if the record shows no change but that of its epoch, they are renewed, as
// by [Resolver.Renew].
func (r *Resolver) Invalidate(id ID, epoch int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notFound.forget(id)
	o, looking := r.openings[id]
	if looking {
		o.invalidate(epoch)
	}
	e, ok := r.entries.Peek(id)
	switch {
	case !ok || epoch != 0 && e.tenant.Load().Epoch >= epoch:
	case e.pool == nil && e.leases == 0: // asleep: nothing is lost
		r.evictLocked(e, CauseChanged, evictedError(id))
	default:
		e.announceLocked(epoch)
		if !looking {
			r.beginLocked(id).invalidate(epoch)
		}
	}
}

// Renew replaces the connections of tenant id, because what they have cached about its schema is out of date: the
// statements that pgx prepares and keeps by default have the columns and types of the schema at that time. Idle ones
// are closed at once, and those in use when they are released, so that no query is cut. The pool and its leases stay.
// It does nothing if no pool is open. It does not wait.
//
// Call it after a schema change that was not made by package provision; provision's Upgrade renews the connections of
// every process that follows the registry. Without a call, the first query that fails with an outdated statement
// (SQLSTATE 0A000) or a type that is gone (XX000) renews that pool's connections.
func (r *Resolver) Renew(id ID) {
	for _, o := range r.poolsOf(id) {
		o.renew()
	}
}

// poolsOf returns the open pools of tenant id, including draining ones and those for which Config.Attach runs.
func (r *Resolver) poolsOf(id ID) []*tenantPool {
	r.mu.Lock()
	defer r.mu.Unlock()
	var pools []*tenantPool
	if e, ok := r.entries.Peek(id); ok && e.pool != nil {
		pools = append(pools, e.pool)
	}
	for e := range r.retiring {
		if e.id == id && e.pool != nil {
			pools = append(pools, e.pool)
		}
	}
	for o := range r.attaching {
		if o.guard.id == id {
			pools = append(pools, o)
		}
	}
	return pools
}

// now is the time since the resolver was made.
func (r *Resolver) now() time.Duration { return time.Since(r.start) }

// clock is now, but up to one tick late.
func (r *Resolver) clock() time.Duration { return time.Duration(r.coarse.Load()) }
