package tenancy_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

func TestForEachReportsEveryTenant(t *testing.T) {
	t.Parallel()
	dir, base, names := crowd(t, 60)
	r := resolver(t, tenancy.Config{Directory: dir, Base: base, MaxConns: 5})
	defer closeNow(t, r)
	stop := watch(t, names, func() int { return 5 })
	ids := []tenancy.ID{"ghost", "BAD"}
	for id := range dir.records {
		ids = append(ids, id)
	}
	var now, most atomic.Int64
	out := r.ForEach(t.Context(), slices.Values(ids), 8, func(ctx context.Context, id tenancy.ID,
		pool *pgxpool.Pool,
	) error {
		most.Store(max(most.Load(), now.Add(1)))
		defer now.Add(-1)
		if l := tenancy.MustFromContext(ctx); l.Tenant().ID != id || l.Pool() != pool {
			t.Errorf("the lease of %q in the context of %q", l.Tenant().ID, id)
		}
		if id == "t7" {
			return errNoDial
		}
		_, err := pool.Exec(ctx, "select 1")
		return err
	})
	stop()
	if out.Done != 59 || len(out.Failed) != 3 || out.Stopped != nil || most.Load() > 8 {
		t.Errorf("%+v, at most %d at once", out, most.Load())
	}
	for id, want := range map[tenancy.ID]error{
		"t7": errNoDial, "ghost": tenancy.ErrNotFound,
		"BAD": tenancy.ErrInvalidID,
	} {
		wantErr(t, out.Failed[id], want)
		wantErr(t, out.Err(), want)
	}
}

func TestForEachEndsWithItsContext(t *testing.T) {
	t.Parallel()
	r := resolver(t, tenancy.Config{Directory: newTenants("a")})
	defer closeNow(t, r)
	ctx, cancel := context.WithCancel(t.Context())
	forever := func(yield func(tenancy.ID) bool) {
		for yield("a") {
		}
	}
	var calls int
	out := r.ForEach(ctx, forever, 0, func(context.Context, tenancy.ID, *pgxpool.Pool) error {
		if calls++; calls == 3 {
			cancel()
		}
		return nil
	})
	wantErr(t, out.Err(), context.Canceled)
	if out.Done != 3 || calls != 3 {
		t.Errorf("%+v after %d calls", out, calls)
	}
}

func TestForEachPassesAPanicOn(t *testing.T) {
	t.Parallel()
	r := resolver(t, tenancy.Config{Directory: newTenants("a")})
	defer closeNow(t, r)
	defer func() {
		if v := recover(); v != "boom" {
			t.Errorf("recovered %v", v)
		}
	}()
	r.ForEach(t.Context(), slices.Values([]tenancy.ID{"a"}), 1, func(context.Context, tenancy.ID, *pgxpool.Pool) error {
		panic("boom")
	})
}
