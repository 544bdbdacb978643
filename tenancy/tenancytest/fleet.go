package tenancytest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// releaseWait is how long the end of a test waits for leases: a handler may still be about to end.
const releaseWait = 5 * time.Second

// Fleet is a resolver and the tenants behind it. It is safe for concurrent use.
type Fleet struct {
	// Resolver finds the tenants' databases. The end of the test closes it.
	Resolver *tenancy.Resolver

	server  *server
	link    *link
	control control
	guard   *guard // nil without Config.Strict

	mu   sync.Mutex              // guards seen
	seen map[tenancy.ID]struct{} // the tenants that the resolver has looked up
}

// control makes and changes the tenants of a fleet.
type control interface {
	tenancy.Directory
	tenancy.AliasDirectory

	// create makes a tenant; an empty id means any.
	create(ctx context.Context, id tenancy.ID) (tenancy.Tenant, error)

	// addAlias gives the tenant another name.
	addAlias(ctx context.Context, id tenancy.ID, alias string) error

	// remove takes the tenant and its database away.
	remove(ctx context.Context, t tenancy.Tenant) error

	// suspend closes a tenant, and resume opens it again, with a new epoch. The resolver hears of it before they return.
	suspend(ctx context.Context, id tenancy.ID) error
	resume(ctx context.Context, id tenancy.ID) error
}

// New returns a fleet without tenants. The end of the test closes it; then the test fails if a lease was not released.
// The test ends at once if there is no server, or if the schema cannot be made.
func New(tb testing.TB, cfg Config) *Fleet {
	tb.Helper()
	s := theServer(tb)
	ctx, cancel := bounded(tb)
	defer cancel()
	template, err := s.template(ctx, tenantRecipe(cfg.Schema, cfg.TenantOwns))
	if err != nil {
		tb.Fatalf("tenancytest: make schema: %v", err)
	}
	f := newFleet(s)
	static := newStatic(f, template, cfg)
	f.control = static
	base, err := s.poolConfig("")
	if err != nil {
		tb.Fatal(err)
	}
	base.ConnConfig.RuntimeParams["role"] = tenantRole
	f.open(tb, base, cfg)
	return f
}

func newFleet(s *server) *Fleet {
	return &Fleet{server: s, link: newLink(s.pg.Config().DialFunc), seen: make(map[tenancy.ID]struct{})}
}

// open makes the resolver, which the end of the test closes.
func (f *Fleet) open(tb testing.TB, base *pgxpool.Config, cfg Config) {
	tb.Helper()
	base.ConnConfig.DialFunc = f.link.dial
	config := tenancy.Config{Directory: tenancy.DirectoryFunc(f.lookup), Aliases: f.control, Base: base, Fence: true}
	if cfg.Resolver != nil {
		cfg.Resolver(&config)
	}
	if cfg.Strict {
		f.beStrict(tb, &config)
	}
	var err error
	if f.Resolver, err = tenancy.New(config); err != nil {
		tb.Fatalf("tenancytest: make resolver: %v", err)
	}
	tb.Cleanup(func() {
		tb.Helper()
		f.close(tb)
	})
}

func (f *Fleet) close(tb testing.TB) {
	tb.Helper()
	f.HealServer()
	f.guard.end()
	ctx, cancel := context.WithTimeout(context.Background(), releaseWait)
	defer cancel()
	err := f.Resolver.Close(ctx)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		tb.Errorf("tenancytest: a lease was not released within %v of the end of the test", releaseWait)
	case err != nil:
		tb.Errorf("tenancytest: close resolver: %v", err)
	}
}

// lookup is the resolver's directory. It remembers whom the resolver may have a pool of.
func (f *Fleet) lookup(ctx context.Context, id tenancy.ID) (tenancy.Tenant, error) {
	t, err := f.control.Lookup(ctx, id)
	if err == nil {
		f.mu.Lock()
		f.seen[t.ID] = struct{}{}
		f.mu.Unlock()
	}
	return t, err
}

// Tenant makes a tenant with a database of its own, which tb's end drops; in a [System], the end of the system does.
// The id is id[0], or made up if there is none. The test ends at once if a tenant of the fleet has the id.
func (f *Fleet) Tenant(tb testing.TB, id ...tenancy.ID) *Tenant {
	tb.Helper()
	ctx, cancel := bounded(tb)
	defer cancel()
	var wanted tenancy.ID
	switch len(id) {
	case 0:
	case 1:
		wanted = id[0]
		if !wanted.Valid() {
			tb.Fatalf("tenancytest: make tenant %q: %v", string(wanted), tenancy.ErrInvalidID)
		}
	default:
		tb.Fatalf("tenancytest: make tenant: %d ids, want one at most", len(id))
	}
	record, err := f.control.create(ctx, wanted)
	if err != nil {
		tb.Fatalf("tenancytest: make tenant %q: %v", string(wanted), pgerr.Redact(err))
	}
	f.Resolver.Invalidate(record.ID, record.Epoch) // an earlier test may have asked for the id
	tb.Cleanup(func() {
		tb.Helper()
		ctx, cancel := bounded(tb)
		defer cancel()
		if err := f.control.remove(ctx, record); err != nil {
			tb.Errorf("tenancytest: drop tenant %q: %v", string(record.ID), pgerr.Redact(err))
		}
	})
	return &Tenant{fleet: f, record: record}
}

// Lookup returns a tenant that the tested code made, for example by a sign-up. The test ends at once if there is none.
func (f *Fleet) Lookup(tb testing.TB, id tenancy.ID) *Tenant {
	tb.Helper()
	ctx, cancel := bounded(tb)
	defer cancel()
	record, err := f.control.Lookup(ctx, id)
	if err != nil {
		tb.Fatalf("tenancytest: look up tenant %q: %v", string(id), err)
	}
	return &Tenant{fleet: f, record: record}
}

// EvictAll closes every pool as soon as its leases are released, as a full resolver does: what the tested code keeps of
// a pool beyond its lease fails from then on.
func (f *Fleet) EvictAll() {
	f.mu.Lock()
	ids := slices.Collect(maps.Keys(f.seen))
	f.mu.Unlock()
	for _, id := range ids {
		f.Resolver.Evict(id)
	}
}

// Format implements [fmt.Formatter]: a fleet shows nothing of its configuration.
func (f *Fleet) Format(state fmt.State, _ rune) { _, _ = fmt.Fprint(state, "tenancytest fleet") }
