package tenancy_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

var errNoDial = errors.New("this test does not dial")

// undialled is a base configuration whose pools never reach a network, so that they can live in a synctest bubble.
func undialled() *pgxpool.Config {
	base, err := pgxpool.ParseConfig("host=127.0.0.1 port=5432 user=app password=pw dbname=none sslmode=disable")
	if err != nil {
		panic(err)
	}
	base.ConnConfig.DialFunc = func(context.Context, string, string) (net.Conn, error) { return nil, errNoDial }
	return base
}

// tenants is a Directory in memory that counts its look-ups. The tenant "acme" has the database "tenant_acme".
type tenants struct {
	mu      sync.Mutex
	records map[tenancy.ID]tenancy.Tenant
	lookups map[tenancy.ID]int
	before  func(ctx context.Context, id tenancy.ID) error // called by Lookup, without the lock
}

func newTenants(ids ...tenancy.ID) *tenants {
	d := &tenants{records: map[tenancy.ID]tenancy.Tenant{}, lookups: map[tenancy.ID]int{}}
	for _, id := range ids {
		d.put(tenant(id, 1))
	}
	return d
}

func tenant(id tenancy.ID, epoch int64) tenancy.Tenant {
	return tenancy.Tenant{
		ID: id, State: tenancy.Active, Epoch: epoch,
		Endpoint: tenancy.Endpoint{Database: "tenant_" + string(id)},
	}
}

func (d *tenants) put(t tenancy.Tenant) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.records[t.ID] = t
}

func (d *tenants) asked(id tenancy.ID) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lookups[id]
}

func (d *tenants) Lookup(ctx context.Context, id tenancy.ID) (tenancy.Tenant, error) {
	d.mu.Lock()
	d.lookups[id]++
	t, ok := d.records[id] // read before the hook: what a slow directory answers may be out of date
	before := d.before
	d.mu.Unlock()
	if before != nil {
		if err := before(ctx, id); err != nil {
			return tenancy.Tenant{}, err
		}
	}
	if !ok {
		return tenancy.Tenant{}, tenancy.ErrNotFound
	}
	return t, nil
}

// hook sets what Lookup calls first.
func (d *tenants) hook(f func(context.Context, tenancy.ID) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.before = f
}

// resolver makes a resolver of undialled pools. The test closes it.
func resolver(t testing.TB, cfg tenancy.Config) *tenancy.Resolver {
	t.Helper()
	if cfg.Base == nil {
		cfg.Base, cfg.BreakerThreshold = undialled(), -1
	}
	r, err := tenancy.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func acquire(t testing.TB, r *tenancy.Resolver, id tenancy.ID) *tenancy.Lease {
	t.Helper()
	l, err := r.Acquire(t.Context(), id)
	if err != nil {
		t.Fatalf("Acquire(%q): %v", id, err)
	}
	if got := l.Pool().Config().ConnConfig.Database; l.Tenant().ID != id || got != l.Tenant().Endpoint.Database {
		t.Fatalf("Acquire(%q) leased %q, database %q", id, l.Tenant().ID, got)
	}
	return l
}

// acquiring acquires in a goroutine of its own. The channel gets the lease, or nil after an error was reported.
func acquiring(t testing.TB, r *tenancy.Resolver, id tenancy.ID) <-chan *tenancy.Lease {
	got := make(chan *tenancy.Lease, 1)
	go func() {
		l, err := r.Acquire(context.WithoutCancel(t.Context()), id)
		if err != nil {
			t.Errorf("Acquire(%q): %v", id, err)
		}
		got <- l
	}()
	return got
}

func await(t testing.TB, got <-chan *tenancy.Lease) *tenancy.Lease {
	t.Helper()
	l := <-got
	if l == nil {
		t.FailNow()
	}
	return l
}

func touch(t testing.TB, r *tenancy.Resolver, ids ...tenancy.ID) {
	t.Helper()
	for _, id := range ids {
		acquire(t, r, id).Release()
	}
}

// open reports whether pool is open. An undialled pool answers errNoDial, a closed one something else.
func open(t testing.TB, pool *pgxpool.Pool) bool {
	t.Helper()
	return errors.Is(pool.Ping(context.WithoutCancel(t.Context())), errNoDial)
}

func wantErr(t testing.TB, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Fatalf("error %v, want %v", err, target)
	}
}

// closeNow closes r, whose leases must all be released.
func closeNow(t testing.TB, r *tenancy.Resolver) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	if err := r.Close(ctx); err != nil {
		t.Error(err)
	}
	if s := r.Stat(); s.OpenPools()+s.DrainingPools()+s.Leases()+s.Openings()+s.WaitingOpeners() != 0 {
		t.Errorf("left after Close: %d open, %d draining, %d leases, %d openings, %d waiting",
			s.OpenPools(), s.DrainingPools(), s.Leases(), s.Openings(), s.WaitingOpeners())
	}
}

// journal is an Observer that writes the events down.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf(format, args...))
}

func (j *journal) read() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]string(nil), j.lines...)
}

func (j *journal) observer() tenancy.Observer {
	return tenancy.Observer{
		PoolOpened:     func(id tenancy.ID) { j.add("opened %s", id) },
		PoolOpenFailed: func(id tenancy.ID, err error) { j.add("failed %s: %v", id, err) },
		ServedStale:    func(id tenancy.ID, err error) { j.add("stale %s: %v", id, err) },
		PoolEvicted:    func(id tenancy.ID, c tenancy.Cause) { j.add("evicted %s: %s", id, c) },
		PoolClosed: func(id tenancy.ID, c tenancy.Cause, took time.Duration) {
			j.add("closed %s: %s after %v", id, c, took)
		},
	}
}
