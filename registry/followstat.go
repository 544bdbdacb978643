package registry

import (
	"fmt"
	"sync"
	"time"

	"github.com/pgtenancy/pgtenancy/internal/regdb"
)

// maxReadAge is the least time without a read after which Check fails.
const maxReadAge = 30 * time.Second

// FollowStat is a snapshot of how the calls of Follow go.
type FollowStat struct {
	running  int
	lastRead time.Time
	failures int64
	lost     int64
}

// Running returns the current number of calls.
func (s FollowStat) Running() int { return s.running }

// LastRead returns when the call that is furthest behind has last read the feed to its end, or began if it never did;
// the zero time if none runs. All is well if that is no longer ago than Config.PollInterval and what a read takes.
func (s FollowStat) LastRead() time.Time { return s.lastRead }

// FailureCount returns the cumulative count of connections that failed.
func (s FollowStat) FailureCount() int64 { return s.failures }

// LostCount returns the cumulative count of times that changes could not be told one by one, so that every tenant was
// told anew: they were lost with a restore or a failover, or purged while this process was away for longer than a day.
func (s FollowStat) LostCount() int64 { return s.lost }

// FollowStat returns a snapshot, without I/O.
func (r *Registry) FollowStat() FollowStat {
	f := &r.following
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.count
	s.running = len(f.calls)
	for _, c := range f.calls {
		if s.lastRead.IsZero() || c.read.Before(s.lastRead) {
			s.lastRead = c.read
		}
	}
	return s
}

// following tracks the running calls of Follow.
type following struct {
	mu    sync.Mutex // guards what follows
	calls map[*follower]call
	count FollowStat // its cumulative figures
}

// call is one of Follow.
type call struct {
	read time.Time // the last one, or the call's begin
	err  error     // since then; redacted
}

// begin adds a call, until the function that it returns is called.
func (f *following) begin(c *follower, now time.Time) (end func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.calls == nil {
		f.calls = make(map[*follower]call)
	}
	f.calls[c] = call{read: now}
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.calls, c)
	}
}

func (f *following) read(c *follower, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls[c] = call{read: now}
}

func (f *following) failed(c *follower, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count.failures++
	f.calls[c] = call{read: f.calls[c].read, err: regdb.Redact("follow", err)}
}

func (f *following) lost() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count.lost++
}

// check returns an error if a call has not read for longer than age.
func (f *following) check(now time.Time, age time.Duration) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.calls {
		if ago := now.Sub(c.read); ago > age {
			cause := "no answer yet"
			if c.err != nil {
				cause = c.err.Error()
			}
			return unready(fmt.Sprintf("changes were last read %v ago: %s", ago.Round(time.Second), cause))
		}
	}
	return nil
}
