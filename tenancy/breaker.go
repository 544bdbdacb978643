package tenancy

import (
	"math/rand/v2"
	"time"
)

// An open breaker lets no attempt through for a pause: firstPause, then twice as long after each attempt, up to
// lastPause. Jitter shortens each pause by up to a half, so that processes do not all try at once. A server that has
// recovered is in use again after lastPause at the latest.
const (
	firstPause = 500 * time.Millisecond
	lastPause  = 2 * time.Second
)

// breaker decides whether an attempt to connect to a server may begin. It opens after threshold failures in a row, and
// closes with the first success. While it is open, it lets one attempt through after each pause; an attempt that hangs
// does not delay the next. The owner's mutex guards it.
type breaker struct {
	threshold int           // 0: it never opens
	failures  int           // in a row
	opened    time.Duration // when it last opened
	pause     time.Duration
	retry     time.Duration // when it is open: the next attempt is due then
	succeeded time.Duration // when the last attempt succeeded
}

func (b *breaker) open() bool { return b.threshold > 0 && b.failures >= b.threshold }

// blocked reports whether allow would refuse.
func (b *breaker) blocked(now time.Duration) bool { return b.open() && now < b.retry }

// allow reports whether an attempt may begin now.
func (b *breaker) allow(now time.Duration) bool {
	if b.blocked(now) {
		return false
	}
	if b.open() {
		b.backOff(now, min(2*b.pause, lastPause))
	}
	return true
}

func (b *breaker) backOff(now, pause time.Duration) {
	b.pause = pause
	b.retry = now + pause - rand.N(pause/2) //nolint:gosec // jitter
}

// fail records the failure of an attempt that began at the given time, and reports whether that opened the breaker. An
// attempt that began before the last success says nothing about the server as it is now.
func (b *breaker) fail(began, now time.Duration) (opened bool) {
	if began < b.succeeded {
		return false
	}
	b.failures++
	if b.failures != b.threshold {
		return false
	}
	b.opened = now
	b.backOff(now, firstPause)
	return true
}

// overtook reports whether the breaker opened after an attempt had begun at the given time.
func (b *breaker) overtook(began time.Duration) bool { return b.open() && b.opened >= began }

// succeed records a success, and reports whether that closed the breaker.
func (b *breaker) succeed(now time.Duration) (closed bool) {
	closed = b.open()
	b.failures, b.succeeded = 0, now
	return closed
}
