package connbudget_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgtenancy/pgtenancy/internal/connbudget"
)

var errFull = errors.New("full")

func budget(limit int) *connbudget.Budget {
	return connbudget.New(connbudget.Config{Name: "pg", Limit: limit, Full: errFull})
}

func account(b *connbudget.Budget) *connbudget.Account { return b.NewAccount("acme", 1) }

// connect makes a connection of a, for which there must be a permit within a second, and returns what closes it.
func connect(t *testing.T, a *connbudget.Account) (disconnect func()) {
	t.Helper()
	p := a.NewPermit(t.Context())
	if err := p.Take(t.Context(), time.Second); err != nil {
		t.Fatal(err)
	}
	p.ConnectEnded()
	return p.GiveBack
}

func TestPermitsAreGivenInTheOrderInWhichTheyWereAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := budget(1)
		give := connect(t, account(b))
		var order []int
		for i := range 5 {
			go func() {
				p := account(b).NewPermit(t.Context())
				if err := p.Take(t.Context(), time.Hour); err != nil {
					t.Error(err)
				}
				order = append(order, i) // one permit: no other goroutine is here
				p.ConnectEnded()
				p.GiveBack()
			}()
			synctest.Wait()
		}
		if n := b.Stat().Waiting; n != 5 {
			t.Errorf("%d wait", n)
		}
		give()
		synctest.Wait()
		if diff := cmp.Diff([]int{0, 1, 2, 3, 4}, order); diff != "" {
			t.Error(diff)
		}
		if s := b.Stat(); s.Held != 0 || s.Waiting != 0 || s.Dials != 6 || s.Waits != 5 {
			t.Errorf("%+v", s)
		}
	})
}

func TestTenantWithoutConnectionIsServedBeforeOneThatHasItsShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := budget(2)
		busy := account(b)
		first, second := connect(t, busy), connect(t, busy)
		var order []string
		take := func(name string) {
			a := busy
			if name != "busy" {
				a = account(b)
			}
			p := a.NewPermit(t.Context())
			go func() {
				if err := p.Take(t.Context(), time.Hour); err != nil {
					t.Error(err)
				}
				order = append(order, name)
				p.ConnectEnded()
			}()
			synctest.Wait()
		}
		take("busy")
		take("new")
		time.Sleep(2 * time.Millisecond) // shares are as of a moment ago
		first()
		synctest.Wait()
		second()
		synctest.Wait()
		if diff := cmp.Diff([]string{"new", "busy"}, order); diff != "" {
			t.Error(diff)
		}
	})
}

func TestPermitIsWaitedForAsLongAsBudgetWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := budget(1)
		give := connect(t, account(b))
		for wait, want := range map[time.Duration]time.Duration{time.Minute: time.Minute, -1: 0} {
			start := time.Now()
			if err := account(b).NewPermit(t.Context()).Take(t.Context(), wait); !errors.Is(err, errFull) {
				t.Fatalf("error %v", err)
			}
			if took := time.Since(start); took != want {
				t.Errorf("BudgetWait %v: took %v", wait, took)
			}
		}
		if s := b.Stat(); s.Timeouts != 2 || s.Waiting != 0 || s.Held != 1 {
			t.Errorf("%+v", s)
		}
		give()
	})
}

// Who leaves at the moment at which it is given a permit leaves none behind, and takes none along.
func TestPermitOfOneWhoLeavesGoesToTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 200 {
			b := budget(1)
			give := connect(t, account(b))
			ctx, cancel := context.WithCancel(t.Context())
			leaver, next := account(b).NewPermit(ctx), account(b).NewPermit(t.Context())
			left := make(chan error, 1)
			go func() { left <- leaver.Take(ctx, time.Hour) }()
			synctest.Wait()
			got := make(chan error, 1)
			go func() { got <- next.Take(t.Context(), time.Hour) }()
			synctest.Wait()
			go give()
			go cancel()
			if err := <-left; err == nil {
				leaver.ConnectEnded()
				leaver.GiveBack()
			}
			if err := <-got; err != nil {
				t.Fatal(err)
			}
			next.ConnectEnded()
			next.GiveBack()
			if s := b.Stat(); s.Held != 0 || s.Waiting != 0 {
				t.Fatalf("%+v", s)
			}
		}
	})
}

func TestRaisedBudgetServesThoseWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := budget(0)
		p, got := account(b).NewPermit(t.Context()), make(chan error, 1)
		go func() { got <- p.Take(t.Context(), time.Hour) }()
		synctest.Wait()
		b.SetLimit(-1)
		if err := <-got; err != nil || b.Stat().Limit != -1 {
			t.Error(err)
		}
	})
}

func TestWeightRaisesATenantsShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := budget(4)
		heavy, light := b.NewAccount("heavy", 3), b.NewAccount("light", 1)
		var disconnect func() // one of heavy's
		for _, a := range []*connbudget.Account{light, heavy, heavy, heavy} {
			p := a.NewPermit(t.Context())
			if err := p.Take(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
			p.ConnectEnded()
			disconnect = p.GiveBack
		}
		var order []string
		go func() {
			if err := light.NewPermit(t.Context()).Take(t.Context(), time.Minute); !errors.Is(err, errFull) {
				t.Errorf("error %v", err)
			}
			order = append(order, "light refused")
		}()
		synctest.Wait()
		go func() {
			p := heavy.NewPermit(t.Context())
			if err := p.Take(t.Context(), time.Hour); err != nil {
				t.Error(err)
			}
			order = append(order, "heavy")
			p.ConnectEnded()
		}()
		synctest.Wait()
		time.Sleep(2 * time.Millisecond)
		disconnect()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if diff := cmp.Diff([]string{"heavy", "light refused"}, order); diff != "" {
			t.Error(diff)
		}
	})
}
