package tenancy_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Tenants without connections keep coming, and each is served before one that has its share; but not for ever.
func TestTenantBeyondItsShareIsServedBeforeBudgetWaitIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := tenancy.NewBudget(2)
		busy := b.Account()
		if err := b.Take(t.Context(), busy, time.Second); err != nil {
			t.Fatal(err)
		}
		b.Connected()
		give, start := holder(t, b), time.Now()
		served := make(chan error, 1)
		go func() { served <- b.Take(t.Context(), busy, 4*time.Second) }()
		synctest.Wait()
		for len(served) == 0 {
			next := b.Account()
			got := make(chan error, 1)
			go func() { got <- b.Take(t.Context(), next, time.Hour) }()
			time.Sleep(10 * time.Millisecond)
			give()
			synctest.Wait()
			if len(served) > 0 {
				b.Connected()
				b.Give(busy)
			}
			if err := <-got; err != nil {
				t.Fatal(err)
			}
			b.Connected()
			give = func() { b.Give(next) }
		}
		give()
		if err := <-served; err != nil || time.Since(start) < time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}
