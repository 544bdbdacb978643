package tenancy

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// cancelSlots bounds the cancel requests to one server that are on their way at once. Each takes one round trip, needs
// no connection to end and so cannot be part of a deadlock.
const cancelSlots = 8

// minDials is the least that maxDials returns.
const minDials = 4

// server is the connection budget of one PostgreSQL server. Every connection to it holds a permit, from before its dial
// until its socket is closed. Who finds none waits in FIFO order, but whoever has less than its fair share is served
// before those who have more.
type server struct {
	name     string
	connects int           // Config.MaxDialsPerServer
	cancels  chan struct{} // holds one element for each cancel request on its way
	pressed  atomic.Bool   // somebody waits, or the budget shrank: those who release a connection must look
	full     atomic.Bool   // no permit is free
	bulkhead bulkhead      // what is known of the server's health

	// mu guards everything below and the counted fields of account. It is taken after Resolver.mu or without it, and a
	// pool may be asked for its Stat under it; no I/O, dial or Close happens while it is held.
	mu     sync.Mutex
	limit  int
	held   int // permits given out
	dials  int // of which that many are for connects that have not ended
	coming int // connections that are being closed to make room: their permits come back soon
	queue  []*waiter
	sieve  sieve
	demand demand
	count  serverCounters
}

// serverCounters are cumulative; server.mu guards them.
type serverCounters struct {
	dials, waits, refused, steals, yields int64
}

// waiter is a dial that waits for a permit.
type waiter struct {
	account *account
	since   time.Time
	overdue time.Time     // from then on its tenant's share does not matter
	granted chan struct{} // closed, under server.mu, when the permit is given
	look    chan struct{} // has an element when w should look for an idle connection to close
}

func newServer(name string, limit, connects int) *server {
	s := &server{name: name, connects: connects, cancels: make(chan struct{}, cancelSlots)}
	s.setLimit(limit)
	return s
}

// setLimit changes the budget and returns the number of connections that are open. Negative means no limit.
func (s *server) setLimit(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n < 0 {
		n = math.MaxInt
	}
	s.limit = n
	s.grantLocked()
	return s.held
}

// enqueue takes a permit for a, or returns the place in the queue where the caller stands for one.
func (s *server) enqueue(a *account, wait time.Duration) *waiter {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sieve.add(a)
	a.waiting++
	w := &waiter{account: a, since: time.Now(), granted: make(chan struct{}), look: make(chan struct{}, 1)}
	w.overdue = w.since.Add(max(wait/4, turnTime))
	s.queue = append(s.queue, w)
	s.grantLocked()
	select {
	case <-w.granted:
		return nil
	default:
		s.count.waits++
		return w
	}
}

// leave takes w out of the queue. It returns false if w was given a permit already, and so has one.
func (s *server) leave(w *waiter) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.queue, w)
	if i < 0 {
		return false
	}
	s.queue = slices.Delete(s.queue, i, i+1)
	w.account.waiting--
	s.settleLocked(w.account)
	return true
}

// releaseLocked takes a permit of a back, and passes it on. Caller holds s.mu.
func (s *server) releaseLocked(a *account) {
	s.held--
	a.held--
	s.grantLocked()
	s.settleLocked(a)
}

// dialledLocked notes that a connect that had a permit has ended, one way or the other. The next may begin. Caller holds
// s.mu.
func (s *server) dialledLocked() {
	s.dials--
	s.grantLocked()
	if s.shortLocked() {
		select {
		case s.queue[s.nextLocked(s.coming)].look <- struct{}{}:
		default:
		}
	}
}

// maxDials bounds how many connects to the server go on at once. More of them only make each slower, and every one
// holds a permit that could be a connection somebody works with. Caller holds s.mu.
func (s *server) maxDials() int {
	switch {
	case s.connects < 0:
		return math.MaxInt
	case s.connects > 0:
		return s.connects
	}
	return max(minDials, s.limit/8)
}

// shortLocked reports whether more wait than will soon be given a permit, though they could dial at once. Caller holds
// s.mu.
func (s *server) shortLocked() bool {
	return min(len(s.queue), s.maxDials()-s.dials) > s.coming+max(0, s.limit-s.held)
}

// grantLocked gives out the permits that are free. Caller holds s.mu.
func (s *server) grantLocked() {
	for s.held < s.limit && s.dials < s.maxDials() && len(s.queue) > 0 {
		i := s.nextLocked(0)
		w := s.queue[i]
		s.queue = slices.Delete(s.queue, i, i+1)
		s.held++
		s.dials++
		s.count.dials++
		w.account.waiting--
		w.account.held++
		w.account.turn = time.Now()
		w.account.used.Store(w.account.turn.UnixNano())
		close(w.granted)
	}
	s.noteLocked()
}

// nextLocked returns the place in the queue of who is served after skip others: first those that are entitled, then the
// rest, each in the order in which they came. More than skip must wait. Caller holds s.mu.
func (s *server) nextLocked(skip int) int {
	if len(s.queue) == 1 {
		return 0
	}
	now := time.Now()
	for _, entitled := range []bool{true, false} {
		for i, w := range s.queue {
			if s.entitledLocked(w, now) != entitled {
				continue
			}
			if skip == 0 {
				return i
			}
			skip--
		}
	}
	return len(s.queue) - 1
}

// entitledLocked reports whether w is served before others, and from what these have: its tenant has less than its share,
// or it has waited so long that it could end in an error. Caller holds s.mu.
func (s *server) entitledLocked(w *waiter, now time.Time) bool {
	return s.belowLocked(w.account) || now.After(w.overdue)
}

// settleLocked forgets an account that has nothing and waits for nothing. Caller holds s.mu.
func (s *server) settleLocked(a *account) {
	if a.held == 0 && a.waiting == 0 {
		s.sieve.remove(a)
	}
	s.noteLocked()
}

// noteLocked tells those who do not take the lock how things are. Caller holds s.mu.
func (s *server) noteLocked() {
	s.pressed.Store(len(s.queue) > 0 || s.held > s.limit)
	s.full.Store(len(s.queue) > 0 || s.held >= s.limit)
}
