package tenancy_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// holder takes a permit of b for a tenant of its own.
func holder(t *testing.T, b tenancy.Budget) (give func()) {
	t.Helper()
	a := b.Account()
	if err := b.Take(t.Context(), a, time.Second); err != nil {
		t.Fatal(err)
	}
	b.Connected()
	return func() { b.Give(a) }
}

func TestPermitsAreGivenInTheOrderInWhichTheyWereAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := tenancy.NewBudget(1)
		give := holder(t, b)
		var order []int
		for i := range 5 {
			go func() {
				a := b.Account()
				if err := b.Take(t.Context(), a, time.Hour); err != nil {
					t.Error(err)
				}
				order = append(order, i) // one permit: nobody else is here
				b.Connected()
				b.Give(a)
			}()
			synctest.Wait()
		}
		if n := b.Stat().WaitingDials(); n != 5 {
			t.Errorf("%d wait", n)
		}
		give()
		synctest.Wait()
		if diff := cmp.Diff([]int{0, 1, 2, 3, 4}, order); diff != "" {
			t.Error(diff)
		}
		if s := b.Stat(); s.OpenConns() != 0 || s.WaitingDials() != 0 || s.DialCount() != 6 || s.WaitCount() != 5 {
			t.Errorf("%+v", s)
		}
	})
}

func TestTenantWithoutConnectionIsServedBeforeOneThatHasItsShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := tenancy.NewBudget(2)
		busy := b.Account()
		for range 2 {
			if err := b.Take(t.Context(), busy, time.Second); err != nil {
				t.Fatal(err)
			}
			b.Connected()
		}
		var order []string
		take := func(name string) {
			a := busy
			if name != "busy" {
				a = b.Account()
			}
			go func() {
				if err := b.Take(t.Context(), a, time.Hour); err != nil {
					t.Error(err)
				}
				order = append(order, name)
				b.Connected()
			}()
			synctest.Wait()
		}
		take("busy")
		take("new")
		time.Sleep(2 * time.Millisecond) // shares are as of a moment ago
		b.Give(busy)
		synctest.Wait()
		b.Give(busy)
		synctest.Wait()
		if diff := cmp.Diff([]string{"new", "busy"}, order); diff != "" {
			t.Error(diff)
		}
	})
}

func TestPermitIsWaitedForAsLongAsBudgetWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := tenancy.NewBudget(1)
		give := holder(t, b)
		for wait, want := range map[time.Duration]time.Duration{time.Minute: time.Minute, -1: 0} {
			start := time.Now()
			wantErr(t, b.Take(t.Context(), b.Account(), wait), tenancy.ErrAtCapacity)
			if took := time.Since(start); took != want {
				t.Errorf("BudgetWait %v: took %v", wait, took)
			}
		}
		if s := b.Stat(); s.RefuseCount() != 2 || s.WaitingDials() != 0 || s.OpenConns() != 1 {
			t.Errorf("%+v", s)
		}
		give()
	})
}

// Who leaves at the moment at which it is given a permit leaves none behind, and takes none along.
func TestPermitOfOneWhoLeavesGoesToTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 200 {
			b := tenancy.NewBudget(1)
			give := holder(t, b)
			ctx, cancel := context.WithCancel(t.Context())
			leaver, next := b.Account(), b.Account()
			left := make(chan error, 1)
			go func() { left <- b.Take(ctx, leaver, time.Hour) }()
			synctest.Wait()
			got := make(chan error, 1)
			go func() { got <- b.Take(t.Context(), next, time.Hour) }()
			synctest.Wait()
			go give()
			go cancel()
			if err := <-left; err == nil {
				b.Connected()
				b.Give(leaver)
			}
			if err := <-got; err != nil {
				t.Fatal(err)
			}
			b.Connected()
			b.Give(next)
			if s := b.Stat(); s.OpenConns() != 0 || s.WaitingDials() != 0 {
				t.Fatalf("%+v", s)
			}
		}
	})
}

func TestRaisedBudgetServesThoseWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := tenancy.NewBudget(0)
		a, got := b.Account(), make(chan error, 1)
		go func() { got <- b.Take(t.Context(), a, time.Hour) }()
		synctest.Wait()
		b.SetLimit(-1)
		if err := <-got; err != nil || b.Stat().MaxConns() != -1 {
			t.Error(err)
		}
	})
}

func TestWeightRaisesATenantsShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := tenancy.NewBudget(4)
		heavy, light := b.Weighted(3), b.Weighted(1)
		for _, a := range []func() error{
			func() error { return b.Take(t.Context(), light, 0) },
			func() error { return b.Take(t.Context(), heavy, 0) },
			func() error { return b.Take(t.Context(), heavy, 0) },
			func() error { return b.Take(t.Context(), heavy, 0) },
		} {
			if err := a(); err != nil {
				t.Fatal(err)
			}
			b.Connected()
		}
		var order []string
		go func() {
			wantErr(t, b.Take(t.Context(), light, time.Minute), tenancy.ErrAtCapacity)
			order = append(order, "light refused")
		}()
		synctest.Wait()
		go func() {
			if err := b.Take(t.Context(), heavy, time.Hour); err != nil {
				t.Error(err)
			}
			order = append(order, "heavy")
			b.Connected()
		}()
		synctest.Wait()
		time.Sleep(2 * time.Millisecond)
		b.Give(heavy)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if diff := cmp.Diff([]string{"heavy", "light refused"}, order); diff != "" {
			t.Error(diff)
		}
	})
}
