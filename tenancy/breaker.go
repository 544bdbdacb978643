package tenancy

import (
	"math/rand/v2"
	"time"
)

// How long an open breaker lets nobody try: twice as long after each try, up to the second. Of each pause up to a half is
// left out at random, so that processes do not try all at once. A server that is back is in use again after the second
// at the latest.
const (
	firstPause = 500 * time.Millisecond
	lastPause  = 2 * time.Second
)

// breaker decides whether a server is worth a try. It opens after a number of failures in a row, and closes with the
// first success. While it is open, it lets one try through after each pause; one that hangs does not hold up the next.
type breaker struct {
	threshold int           // 0: it never opens
	failures  int           // in a row
	opened    time.Duration // when it last opened
	pause     time.Duration
	retry     time.Duration // when it is open: the next try is due then
	succeeded time.Duration // when the last try that succeeded did
}

func (b *breaker) open() bool { return b.threshold > 0 && b.failures >= b.threshold }

// blocked reports whether allow would refuse.
func (b *breaker) blocked(now time.Duration) bool { return b.open() && now < b.retry }

// allow reports whether a try may begin now.
func (b *breaker) allow(now time.Duration) bool {
	if b.blocked(now) {
		return false
	}
	if b.open() {
		b.rest(now, min(2*b.pause, lastPause))
	}
	return true
}

func (b *breaker) rest(now, pause time.Duration) {
	b.pause = pause
	b.retry = now + pause - rand.N(pause/2) //nolint:gosec // jitter
}

// fail records that a try failed that had begun at the given time, and reports whether that opened the breaker. What
// began before the last success says nothing of the server as it is now.
func (b *breaker) fail(began, now time.Duration) (opened bool) {
	if began < b.succeeded {
		return false
	}
	b.failures++
	if b.failures != b.threshold {
		return false
	}
	b.opened = now
	b.rest(now, firstPause)
	return true
}

// overtook reports whether it opened after a try had been let through that began at the given time.
func (b *breaker) overtook(began time.Duration) bool { return b.open() && b.opened >= began }

// succeed records a success, and reports whether that closed the breaker.
func (b *breaker) succeed(now time.Duration) (closed bool) {
	closed = b.open()
	b.failures, b.succeeded = 0, now
	return closed
}
