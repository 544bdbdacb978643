package tenancy_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

const benchTenants = 1000

func benchIDs() []tenancy.ID {
	ids := make([]tenancy.ID, benchTenants)
	for i := range ids {
		ids[i] = tenancy.ID(fmt.Sprintf("tenant-%d", i))
	}
	return ids
}

// BenchmarkHit compares a lease on a warm pool with the bare cache look-up it is built on.
func BenchmarkHit(b *testing.B) {
	ids := benchIDs()
	r := resolver(b, tenancy.Config{Directory: newTenants(ids...), TTL: -1})
	b.Cleanup(func() { closeNow(b, r) })
	cache, err := lru.New[tenancy.ID, *pgxpool.Pool](benchTenants)
	if err != nil {
		b.Fatal(err)
	}
	for _, id := range ids {
		l := acquire(b, r, id)
		cache.Add(id, l.Pool())
		l.Release()
	}
	nothing := func(context.Context, *pgxpool.Pool) error { return nil }
	for name, hit := range map[string]func(context.Context, tenancy.ID) error{
		"lru.Cache.Get": func(_ context.Context, id tenancy.ID) error { cache.Get(id); return nil },
		"Acquire": func(ctx context.Context, id tenancy.ID) error {
			l, err := r.Acquire(ctx, id)
			if err == nil {
				l.Release()
			}
			return err
		},
		"AcquireFunc": func(ctx context.Context, id tenancy.ID) error { return r.AcquireFunc(ctx, id, nothing) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				ctx := b.Context()
				for pb.Next() {
					if err := hit(ctx, ids[rand.IntN(benchTenants)]); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// BenchmarkMiss opens a pool and closes another for it.
func BenchmarkMiss(b *testing.B) {
	ids := benchIDs()
	r := resolver(b, tenancy.Config{Directory: newTenants(ids...), MaxPools: 10, TTL: -1})
	b.Cleanup(func() { closeNow(b, r) })
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		l, err := r.Acquire(b.Context(), ids[i%benchTenants])
		if err != nil {
			b.Fatal(err)
		}
		l.Release()
	}
}
