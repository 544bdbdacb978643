package pgtest

import (
	"context"
	"runtime"
	"testing"
	"time"
)

// Patience is how long a test waits for one event at most. What takes longer has gone wrong, or waits for something
// that waits for it.
const Patience = time.Minute

// Eventually calls done every ten milliseconds until it is true, and ends the test if it still is not after Patience.
// what completes the sentence "not in time: ".
func Eventually(tb testing.TB, what string, done func() bool) {
	tb.Helper()
	retry := time.NewTicker(10 * time.Millisecond)
	defer retry.Stop()
	for deadline := time.Now().Add(Patience); !done(); <-retry.C {
		if time.Now().After(deadline) {
			giveUp(tb, what)
		}
	}
}

// Receive receives from from, and ends the test if nothing came after Patience. A closed channel gives the zero T.
func Receive[T any](tb testing.TB, what string, from <-chan T) T {
	tb.Helper()
	v, ok := receive(from, Patience)
	if !ok {
		giveUp(tb, what)
	}
	return v
}

// Wait returns when wait does, as sync.WaitGroup's does, and ends the test if that is not after five minutes, or after
// half an hour in the long form: a group has much to do before it ends.
func Wait(tb testing.TB, what string, wait func()) {
	tb.Helper()
	ended := make(chan struct{})
	go func() { defer close(ended); wait() }()
	if _, ok := receive(ended, limit()); !ok {
		giveUp(tb, what)
	}
}

// Context returns the test's context with the deadline that Wait has. It ends after the test's cleanups, for which it
// lives on.
func Context(tb testing.TB) context.Context {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), limit())
	tb.Cleanup(cancel)
	return ctx
}

func limit() time.Duration { return Size(5*time.Minute, 30*time.Minute) }

func receive[T any](from <-chan T, limit time.Duration) (v T, ok bool) {
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	select {
	case v = <-from:
		return v, true
	case <-timeout.C:
		return v, false
	}
}

// giveUp ends the test, and says what every goroutine does: most often, one of them shows why nothing came.
func giveUp(tb testing.TB, what string) {
	tb.Helper()
	stacks := make([]byte, 1<<20)
	tb.Fatalf("not in time: %s\n%s", what, stacks[:runtime.Stack(stacks, true)])
}
