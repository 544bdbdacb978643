package tenancy_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

func TestStrictRefusesAPoolWithoutALease(t *testing.T) {
	t.Parallel()
	dir, base, _ := crowd(t, 2)
	ping := func(pool *pgxpool.Pool) error { return pool.Ping(t.Context()) }
	var attached, detached error
	r := resolver(t, tenancy.Config{
		Directory: dir, Base: base, Strict: true, MaxConns: 1,
		Attach: func(ctx context.Context, _ tenancy.Tenant, pool *pgxpool.Pool) (any, func(), error) {
			attached = pool.Ping(ctx)
			return nil, func() { detached = pool.Ping(context.WithoutCancel(t.Context())) }, nil
		},
	})
	first, second := acquire(t, r, "t0"), acquire(t, r, "t0")
	kept := first.Pool()
	for range 2 { // a new connection, then an idle one
		if err := ping(kept); err != nil || attached != nil {
			t.Errorf("under a lease: %v; attaching: %v", err, attached)
		}
	}
	first.Release()
	first.Release()
	if err := ping(kept); err != nil {
		t.Errorf("under another caller's lease: %v", err)
	}
	r.Evict("t0")
	if err := ping(kept); err != nil {
		t.Errorf("evicted, under a lease: %v", err)
	}
	second.Release()

	third := acquire(t, r, "t0")
	kept = third.Pool()
	third.Release()
	for range 2 { // the refused connection stays in the pool
		wantErr(t, ping(kept), tenancy.ErrReleased)
	}
	// Another tenant's connect still gets the idle connection's place.
	if err := query(t, r, "t1"); err != nil {
		t.Error(err)
	}
	if err := query(t, r, "t0"); err != nil {
		t.Error(err)
	}
	closeNow(t, r)
	if detached != nil {
		t.Errorf("while it is closed: %v", detached)
	}
}

func TestWithoutStrictAPoolWorksAfterRelease(t *testing.T) {
	t.Parallel()
	dir, base, _ := crowd(t, 1)
	r := resolver(t, tenancy.Config{Directory: dir, Base: base})
	defer closeNow(t, r)
	l := acquire(t, r, "t0")
	l.Release()
	if err := l.Pool().Ping(t.Context()); err != nil {
		t.Error(err)
	}
}
