package tenancy_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// 200 goroutines lease, evict and move tenants whose pools sleep and are cut, with an Attach that sometimes fails: no
// lease has another pool's value or a closed one, and each value is closed once.
func TestAttachedValuesUnderLoad(t *testing.T) {
	t.Parallel()
	const tenants, workers, rounds = 20, 200, 100
	var ids []tenancy.ID
	for i := range tenants {
		ids = append(ids, tenancy.ID(fmt.Sprintf("t%d", i)))
	}
	var m attachments
	dir, errFails := newTenants(ids...), errors.New("fails")
	r := resolver(t, tenancy.Config{
		Directory: dir, MaxPools: tenants / 2, CapacityWait: time.Minute, TTL: 10 * time.Millisecond,
		Attach: func(ctx context.Context, tt tenancy.Tenant, pool *pgxpool.Pool) (any, func(), error) {
			if rand.IntN(20) == 0 {
				return nil, nil, errFails
			}
			return m.attach(ctx, tt, pool)
		},
	})
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(5, uint64(w)))
			for range rounds {
				id := ids[rnd.IntN(tenants)]
				switch rnd.IntN(50) {
				case 0:
					r.Evict(id)
				case 1:
					r.Renew(id)
				case 2:
					r.Invalidate(id, 0)
				}
				l, err := r.Acquire(t.Context(), id)
				if errors.Is(err, errFails) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				a, ok := tenancy.Attached[*attachment](l)
				if !ok || a.pool != l.Pool() {
					t.Error("a lease without its pool's value")
				}
				if rnd.IntN(10) == 0 {
					<-time.After(time.Duration(rnd.IntN(3000)) * time.Microsecond)
				}
				if n := a.closed(); n != 0 {
					t.Errorf("closed %d times under a lease", n)
				}
				l.Release()
			}
		})
	}
	wg.Wait()
	closeNow(t, r)
	m.check(t)
	made, _ := m.count()
	t.Logf("%d made, %d woken, %d opened", made, r.Stat().WakeCount(), r.Stat().OpenCount())
}
