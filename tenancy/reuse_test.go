package tenancy_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// reusing calls a resolver with strings over memory that is used again after each call, and gives it records over such
// memory, too.
type reusing struct {
	t       *testing.T
	r       *tenancy.Resolver
	args    pgtest.Reused // of the caller
	records pgtest.Reused // of the directory
	seen    []tenancy.ID  // what the Observer was told of
	refused map[tenancy.ID]*tenancy.StateError
}

var (
	reusedActive    = []tenancy.ID{"aa", "ab", "ba", "bb"}
	reusedUnknown   = []tenancy.ID{"ya", "yb"}
	reusedSuspended = []tenancy.ID{"za", "zb"}
	reusedServers   = []string{"s1", "s2"}
	reusedIDs       = slices.Concat(reusedActive, reusedUnknown, reusedSuspended)
)

func newReusing(t *testing.T) *reusing {
	u := &reusing{t: t, refused: map[tenancy.ID]*tenancy.StateError{}}
	note := func(id tenancy.ID) { u.seen = append(u.seen, id) }
	u.r = resolver(t, tenancy.Config{
		Directory: tenancy.DirectoryFunc(u.lookUp), TTL: -1, MaxPools: 3,
		Observer: tenancy.Observer{PoolOpened: note, PoolOpenFailed: func(id tenancy.ID, _ error) { note(id) }},
	})
	return u
}

// lookUp is never called by two at once: each step of the test waits for its end.
func (u *reusing) lookUp(_ context.Context, id tenancy.ID) (tenancy.Tenant, error) {
	u.records.Next()
	state := tenancy.Active
	switch {
	case slices.Contains(reusedUnknown, id):
		return tenancy.Tenant{}, tenancy.ErrNotFound
	case slices.Contains(reusedSuspended, id):
		state = tenancy.Suspended
	}
	return tenancy.Tenant{
		ID: tenancy.ID(u.records.String(string(id))), State: tenancy.State(u.records.String(string(state))),
		SchemaHash: u.records.String("hash of " + string(id)),
		Endpoint: tenancy.Endpoint{
			Server: u.records.String(reusedServers[id[1]-'a']), Host: u.records.String("127.0.0.1"),
			Database: u.records.String("tenant_" + string(id)), User: u.records.String("role_" + string(id)),
		},
	}, nil
}

func (u *reusing) id(id tenancy.ID) tenancy.ID { return tenancy.ID(u.args.String(string(id))) }

// step takes one action, with every argument over the same memory.
func (u *reusing) step(action, which byte) {
	id := reusedIDs[int(which)%len(reusedIDs)]
	switch action % 8 {
	case 0, 1, 2:
		l, err := u.r.Acquire(u.t.Context(), u.id(id))
		u.args.Next()
		u.check(id, l, err)
	case 3:
		parsed, err := tenancy.ParseID(u.args.String(string(id)))
		u.args.Next()
		if err != nil || parsed != id {
			u.t.Fatalf("ParseID(%q) = %q, %v", id, parsed, err)
		}
	case 4:
		u.r.Evict(u.id(id))
	case 5:
		u.r.Invalidate(u.id(id), 0)
		u.args.Next()
		l, err := u.r.Acquire(u.t.Context(), u.id(id)) // waits for the look-up that it may have begun
		u.args.Next()
		u.check(id, l, err)
	case 6:
		u.r.SetMaxConns(u.args.String(reusedServers[int(which)%2]), int(which))
	case 7:
		u.forEach(int(which))
	}
	u.args.Next()
	if n := u.r.Stat().OpenPools(); n > len(reusedActive) {
		u.t.Fatalf("%d pools of %d tenants", n, len(reusedActive))
	}
}

// check holds the answer to Acquire against what id is.
func (u *reusing) check(id tenancy.ID, l *tenancy.Lease, err error) {
	var refused *tenancy.StateError
	switch {
	case slices.Contains(reusedActive, id):
		if err != nil {
			u.t.Fatalf("%q: %v", id, err)
		}
		defer l.Release()
		u.checkPool(id, l.Pool())
		got, want := l.Tenant(), "tenant_"+string(id)
		if got.ID != id || got.Endpoint.Database != want || got.SchemaHash != "hash of "+string(id) ||
			got.Endpoint.User != "role_"+string(id) || got.Endpoint.Host != "127.0.0.1" || got.State != tenancy.Active {
			u.t.Fatalf("%q was given %+v", id, got)
		}
	case slices.Contains(reusedUnknown, id):
		if !errors.Is(err, tenancy.ErrNotFound) || !strings.Contains(err.Error(), string(id)) {
			u.t.Fatalf("%q: %v", id, err)
		}
	default:
		if !errors.As(err, &refused) || refused.State != tenancy.Suspended {
			u.t.Fatalf("%q: %v", id, err)
		}
		u.refused[id] = refused
	}
}

func (u *reusing) checkPool(id tenancy.ID, pool *pgxpool.Pool) {
	if got, want := pool.Config().ConnConfig.Database, "tenant_"+string(id); got != want {
		u.t.Fatalf("tenant %q was given the database %q", id, got)
	}
}

// forEach overwrites each id as soon as the iteration goes on, while f may still run.
func (u *reusing) forEach(first int) {
	out := u.r.ForEach(u.t.Context(), func(yield func(tenancy.ID) bool) {
		for i := range 4 {
			id := reusedIDs[(first+i)%len(reusedIDs)]
			if !yield(u.id(id)) {
				return
			}
			u.args.Next()
		}
	}, 1, func(_ context.Context, id tenancy.ID, pool *pgxpool.Pool) error {
		u.checkPool(id, pool)
		return errNoDial
	})
	for id, err := range out.Failed {
		if !slices.Contains(reusedIDs, id) || slices.Contains(reusedActive, id) != errors.Is(err, errNoDial) {
			u.t.Fatalf("%q failed: %v", id, err)
		}
	}
	if len(out.Failed) != 4 {
		u.t.Fatalf("%d tenants failed, want 4", len(out.Failed))
	}
}

// end checks the kept values, and closes the resolver.
func (u *reusing) end() {
	for i := range reusedIDs {
		u.step(0, byte(i))
	}
	for _, s := range u.r.Stat().Servers() {
		if !slices.Contains(reusedServers, s.Name()) {
			u.t.Errorf("a server is called %q", s.Name())
		}
	}
	for id, err := range u.refused {
		if err.ID != id || err.State != tenancy.Suspended {
			u.t.Errorf("the error for %q says %v", id, err)
		}
	}
	ctx, cancel := context.WithTimeout(u.t.Context(), time.Minute)
	defer cancel()
	if err := u.r.Close(ctx); err != nil {
		u.t.Errorf("close: %v", err)
	}
	for _, id := range u.seen {
		if !slices.Contains(reusedIDs, id) {
			u.t.Errorf("the Observer was told of %q", id)
		}
	}
}

func FuzzCallersReuseTheMemoryOfTheirStrings(f *testing.F) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		program := make([]byte, 200)
		for i := range program {
			program[i] = byte(rnd.Uint32())
		}
		f.Add(program)
	}
	f.Fuzz(func(t *testing.T, program []byte) {
		u := newReusing(t)
		for ; len(program) > 1; program = program[2:] {
			u.step(program[0], program[1])
		}
		u.end()
	})
}
