package connbudget_test

import (
	"testing"
	"testing/synctest"
	"time"
)

// Tenants without connections keep coming, and each is served before a tenant that has its share; but not for ever.
func TestTenantBeyondItsShareIsServedBeforeBudgetWaitIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := budget(2)
		busy := account(b)
		connect(t, busy)
		give, start := connect(t, account(b)), time.Now()
		served := make(chan error, 1)
		second := busy.NewPermit(t.Context())
		go func() { served <- second.Take(t.Context(), 4*time.Second) }()
		synctest.Wait()
		for len(served) == 0 {
			next := account(b).NewPermit(t.Context())
			got := make(chan error, 1)
			go func() { got <- next.Take(t.Context(), time.Hour) }()
			time.Sleep(10 * time.Millisecond)
			give()
			synctest.Wait()
			if len(served) > 0 {
				second.ConnectEnded()
				second.GiveBack()
			}
			if err := <-got; err != nil {
				t.Fatal(err)
			}
			next.ConnectEnded()
			give = next.GiveBack
		}
		give()
		if err := <-served; err != nil || time.Since(start) < time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}
