package failpoint_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgtenancy/pgtenancy/internal/failpoint"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Leaks(m) }

var errHurt = errors.New("hurt")

func TestNilSetCostsNothing(t *testing.T) {
	var none *failpoint.Set
	step := "step"
	allocs := testing.AllocsPerRun(100, func() {
		if none.Before(t.Context(), step) != nil || none.After(t.Context(), step) != nil {
			t.Error("a nil set has done something")
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func TestPointsAreCountedAndHurtByName(t *testing.T) {
	t.Parallel()
	s := failpoint.New()
	s.On("after seed", failpoint.Error(errHurt))
	errs := []error{s.Before(t.Context(), "seed"), s.After(t.Context(), "seed"), s.Before(t.Context(), "access")}
	if errs[0] != nil || errs[1] != errHurt || errs[2] != nil {
		t.Errorf("%v", errs)
	}
	s.On("after seed", nil)
	if err := s.After(t.Context(), "seed"); err != nil {
		t.Errorf("taken away, and still: %v", err)
	}
	if diff := cmp.Diff([]string{"after seed", "before access", "before seed"}, s.Reached()); diff != "" {
		t.Error(diff)
	}
	if n := s.Hits("after seed"); n != 2 {
		t.Errorf("%d hits, want 2", n)
	}
}

func TestOnceHurtsTheFirstTime(t *testing.T) {
	t.Parallel()
	a := failpoint.Once(failpoint.Error(errHurt))
	if first, second := a(t.Context()), a(t.Context()); first != errHurt || second != nil {
		t.Errorf("%v, then %v", first, second)
	}
}

func TestPanicAndCancel(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	if err := failpoint.Cancel(cancel)(ctx); err != nil || ctx.Err() == nil {
		t.Errorf("%v, context %v", err, ctx.Err())
	}
	defer func() {
		if value := recover(); value != errHurt {
			t.Errorf("recovered %v", value)
		}
	}()
	_ = failpoint.Panic(errHurt)(t.Context())
}

func TestSleepAndBlockEndWithTheirContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		if err := failpoint.Sleep(time.Minute)(t.Context()); err != nil || time.Since(start) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		release := make(chan struct{})
		close(release)
		if err := failpoint.Block(release)(t.Context()); err != nil {
			t.Errorf("released: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for _, a := range []failpoint.Action{failpoint.Sleep(time.Minute), failpoint.Block(nil)} {
			if err := a(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v", err)
			}
		}
	})
}

const killVar = "PGTENANCY_FAILPOINT_KILL"

func TestKillLeavesNoTimeForDeferredCalls(t *testing.T) {
	if os.Getenv(killVar) != "" {
		defer os.Exit(0)
		_ = failpoint.Kill()(t.Context())
	}
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKillLeavesNoTimeForDeferredCalls$")
	cmd.Env = append(os.Environ(), killVar+"=1")
	err := cmd.Run()
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if err == nil || !ok || status.Signal() != syscall.SIGKILL {
		t.Errorf("ended with %v", err)
	}
}
