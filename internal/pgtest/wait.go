package pgtest

import (
	"context"
	"testing"
	"time"
)

// Patience is how long a test waits for anything at most. What takes longer has gone wrong, or waits for something that
// waits for it.
const Patience = time.Minute

// Eventually calls done every ten milliseconds until it is true, and ends the test if it still is not after Patience. what
// completes the sentence "not in a minute: ".
func Eventually(tb testing.TB, what string, done func() bool) {
	tb.Helper()
	retry := time.NewTicker(10 * time.Millisecond)
	defer retry.Stop()
	for deadline := time.Now().Add(Patience); !done(); <-retry.C {
		if time.Now().After(deadline) {
			tb.Fatalf("not in a minute: %s", what)
		}
	}
}

// Receive receives from from, and ends the test if nothing came after Patience. A closed channel gives the zero T.
func Receive[T any](tb testing.TB, what string, from <-chan T) T {
	tb.Helper()
	timeout := time.NewTimer(Patience)
	defer timeout.Stop()
	select {
	case v := <-from:
		return v
	case <-timeout.C:
		tb.Fatalf("not in a minute: %s", what)
		panic("unreachable")
	}
}

// Wait waits for a sync.WaitGroup, an exec.Cmd's end or the like, and ends the test if it still does not come after
// Patience.
func Wait(tb testing.TB, what string, wait func()) {
	tb.Helper()
	ended := make(chan struct{})
	go func() { defer close(ended); wait() }()
	Receive(tb, what, ended)
}

// Context returns the test's context with Patience as its deadline, for calls that wait for others. It also lives on in the
// test's cleanups.
func Context(tb testing.TB) context.Context {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), Patience)
	tb.Cleanup(cancel)
	return ctx
}
