package connbudget

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pgtenancy/pgtenancy/internal/histogram"
)

// DefaultWait is how long a caller with a negative wait waits where it must: for an idle connection to be closed, or
// for one of its tenant's own.
const DefaultWait = 5 * time.Second

// cancelSlots bounds the cancel requests to one server that are in flight at once. Each takes one round trip, needs
// no connection to end and so cannot be part of a deadlock.
const cancelSlots = 8

// minDials is the least that maxDials returns.
const minDials = 4

// Config configures a [Budget].
type Config struct {
	Name     string // the server's, for errors
	Limit    int    // the number of permits; negative: no limit
	MaxDials int    // how many connects may be in progress at once; 0: an eighth of Limit, at least 4; negative: no limit
	Full     error  // the error that every refusal wraps
}

// Budget is the connection budget of one PostgreSQL server. It is safe for concurrent use.
type Budget struct {
	cfg     Config
	waits   histogram.Histogram
	cancels chan struct{} // holds one element for each cancel request in flight
	pressed atomic.Bool   // a dial waits, or the budget shrank: a release must check whether to close its connection
	full    atomic.Bool   // no permit is free

	// mu guards everything below, the second group of fields of Account, and that of Permit. No I/O, dial or Close
	// happens while it is held; a pool may be asked for its Stat.
	mu      sync.Mutex
	limit   int
	held    int // permits given out
	dials   int // of which that many are for connects in progress
	closing int // connections that are being closed to make room: their permits come back soon
	queue   []*waiter
	sieve   sieve
	demand  demand
	count   counters
}

// counters are cumulative; Budget.mu guards them.
type counters struct {
	dials, waits, timeouts, steals, preempts int64
}

// waiter is a dial that waits for a permit.
type waiter struct {
	account *Account
	since   time.Time
	overdue time.Time     // from then on its tenant's share does not matter
	granted chan struct{} // closed, under Budget.mu, when the permit is given
	reclaim chan struct{} // has an element when w should look for an idle connection to close
}

// New returns the budget of a server to which there is no connection yet.
func New(cfg Config) *Budget {
	b := &Budget{cfg: cfg, cancels: make(chan struct{}, cancelSlots)}
	b.SetLimit(cfg.Limit)
	return b
}

// SetLimit changes the number of permits to n, negative for no limit, and returns how many are held. It closes nothing:
// see [Budget.Shrink].
func (b *Budget) SetLimit(n int) (held int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n < 0 {
		n = math.MaxInt
	}
	b.limit = n
	b.grantLocked()
	return b.held
}

// enqueue takes a permit for a, or returns the place in the queue where the caller waits for one.
func (b *Budget) enqueue(a *Account, wait time.Duration) *waiter {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sieve.add(a)
	a.waiting++
	w := &waiter{account: a, since: time.Now(), granted: make(chan struct{}), reclaim: make(chan struct{}, 1)}
	w.overdue = w.since.Add(max(wait/4, turnTime))
	b.queue = append(b.queue, w)
	b.grantLocked()
	select {
	case <-w.granted:
		return nil
	default:
		b.count.waits++
		return w
	}
}

// dequeue takes w out of the queue. It returns false if w was given a permit already, and so holds one.
func (b *Budget) dequeue(w *waiter) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.Index(b.queue, w)
	if i < 0 {
		return false
	}
	b.queue = slices.Delete(b.queue, i, i+1)
	w.account.waiting--
	b.forgetUnusedLocked(w.account)
	return true
}

// releaseLocked takes a permit of a back, and passes it on. Caller holds b.mu.
func (b *Budget) releaseLocked(a *Account) {
	b.held--
	a.held--
	b.grantLocked()
	b.forgetUnusedLocked(a)
}

// connectEndedLocked notes that a connect that had a permit has ended, with or without success. The next may begin.
// Caller holds b.mu.
func (b *Budget) connectEndedLocked() {
	b.dials--
	b.grantLocked()
	if b.shortLocked() {
		select {
		case b.queue[b.nextLocked(b.closing)].reclaim <- struct{}{}:
		default:
		}
	}
}

// maxDials bounds how many connects to the server are in progress at once. More of them only make each slower, and
// every one holds a permit that could be a connection in use. Caller holds b.mu.
func (b *Budget) maxDials() int {
	switch {
	case b.cfg.MaxDials < 0:
		return math.MaxInt
	case b.cfg.MaxDials > 0:
		return b.cfg.MaxDials
	}
	return max(minDials, b.limit/8)
}

// shortLocked reports whether there are more waiters that could dial at once than permits that are free or about to be.
// Caller holds b.mu.
func (b *Budget) shortLocked() bool {
	return min(len(b.queue), b.maxDials()-b.dials) > b.closing+max(0, b.limit-b.held)
}

// grantLocked gives out the permits that are free. Caller holds b.mu.
func (b *Budget) grantLocked() {
	for b.held < b.limit && b.dials < b.maxDials() && len(b.queue) > 0 {
		i := b.nextLocked(0)
		w := b.queue[i]
		b.queue = slices.Delete(b.queue, i, i+1)
		b.held++
		b.dials++
		b.count.dials++
		w.account.waiting--
		w.account.held++
		w.account.granted = time.Now()
		w.account.used.Store(w.account.granted.UnixNano())
		close(w.granted)
	}
	b.publishLocked()
}

// nextLocked returns the index in the queue of the waiter that is served after skip others: first those with priority,
// then the rest, each in the order in which they came. More than skip must wait. Caller holds b.mu.
func (b *Budget) nextLocked(skip int) int {
	if len(b.queue) == 1 {
		return 0
	}
	now := time.Now()
	for _, priority := range []bool{true, false} {
		for i, w := range b.queue {
			if b.hasPriorityLocked(w, now) != priority {
				continue
			}
			if skip == 0 {
				return i
			}
			skip--
		}
	}
	return len(b.queue) - 1
}

// hasPriorityLocked reports whether w is served before others, and from the connections of others: its tenant has less
// than its share, or it has waited so long that it could time out. Caller holds b.mu.
func (b *Budget) hasPriorityLocked(w *waiter, now time.Time) bool {
	return b.belowShareLocked(w.account) || now.After(w.overdue)
}

// forgetUnusedLocked removes a from the sieve if it holds nothing and waits for nothing. Caller holds b.mu.
func (b *Budget) forgetUnusedLocked(a *Account) {
	if a.held == 0 && a.waiting == 0 {
		b.sieve.remove(a)
	}
	b.publishLocked()
}

// publishLocked sets the flags that are read without the lock. Caller holds b.mu.
func (b *Budget) publishLocked() {
	b.pressed.Store(len(b.queue) > 0 || b.held > b.limit)
	b.full.Store(len(b.queue) > 0 || b.held >= b.limit)
}
