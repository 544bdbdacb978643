package tenancy

import (
	"cmp"
	"slices"
	"strings"

	"github.com/pgtenancy/pgtenancy/internal/connbudget"
	"github.com/pgtenancy/pgtenancy/internal/histogram"
)

// server is one PostgreSQL server: its connection budget and its health.
type server struct {
	budget   *connbudget.Budget
	bulkhead bulkhead
	dials    histogram.Histogram
}

// server returns the server with the given name, which is made if it is new.
func (r *Resolver) server(name string) *server {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, ok := r.servers[name]
	if !ok {
		name = strings.Clone(name) // kept; the caller may reuse its bytes
		s = &server{budget: connbudget.New(connbudget.Config{
			Name: name, Limit: r.cfg.MaxConns, MaxDials: r.cfg.MaxDialsPerServer, Full: ErrAtCapacity,
		})}
		s.bulkhead.name, s.bulkhead.now = name, r.now
		s.bulkhead.observer, s.bulkhead.log = &r.cfg.Observer, &r.log
		s.bulkhead.breaker.threshold = max(r.cfg.BreakerThreshold, 0)
		r.servers[name] = s
	}
	return s
}

// SetMaxConns changes the connection budget of one server, initially Config.MaxConns, to n, and returns how many
// connections to it are open. Zero allows none; a negative n means no limit. server is the name in the tenants'
// Endpoints, or host:port. It need not have been used yet.
//
// It does not wait. If more than n are open, idle ones are closed in the background, which takes a moment, or a second
// if the server does not answer. A connection that is in use is closed when it is released, and no new one is opened
// until there are fewer than n. [ServerStat.OpenConns] shows when that is so, and so does the next call.
func (r *Resolver) SetMaxConns(server string, n int) (open int) {
	s := r.server(server)
	open = s.budget.SetLimit(n)
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed { // else every pool is being closed
		r.wg.Go(func() { s.budget.Shrink(&r.wg) })
	}
	return open
}

// serverStats returns a snapshot of every server, in the order of their names.
func (r *Resolver) serverStats() []ServerStat {
	r.mu.Lock()
	servers := make([]*server, 0, len(r.servers))
	for _, s := range r.servers {
		servers = append(servers, s)
	}
	r.mu.Unlock()
	stats := make([]ServerStat, 0, len(servers))
	for _, s := range servers {
		stats = append(stats, s.stat())
	}
	slices.SortFunc(stats, func(a, b ServerStat) int { return cmp.Compare(a.name, b.name) })
	return stats
}

func (s *server) stat() ServerStat {
	return ServerStat{name: s.bulkhead.name, budget: s.budget.Stat(), health: s.bulkhead.stat(), dials: s.dials.Snapshot()}
}

// ServerStat is a snapshot of the connection budget of one server, and of its health.
type ServerStat struct {
	name   string
	budget connbudget.Stat
	health health
	dials  histogram.Snapshot
}

// Name returns the server's name as in the tenants' Endpoints, or its host:port.
func (s ServerStat) Name() string { return s.name }

// MaxConns returns the current budget: that of the last [Resolver.SetMaxConns], or Config.MaxConns; -1 for no limit.
func (s ServerStat) MaxConns() int { return s.budget.Limit }

// OpenConns returns the current number of connections: those in use, idle, being dialled and being closed. It is more
// than MaxConns only after SetMaxConns made that smaller, until enough of them are given back.
func (s ServerStat) OpenConns() int { return s.budget.Held }

// WaitingDials returns the current number of connections that wait for a place among MaxConns.
func (s ServerStat) WaitingDials() int { return s.budget.Waiting }

// DialCount returns the cumulative count of dials. Compare it with the number of requests to see whether MaxConns is
// large enough: a dial costs as much as two hundred round trips.
func (s ServerStat) DialCount() int64 { return s.budget.Dials }

// WaitCount returns the cumulative count of dials that found no place free.
func (s ServerStat) WaitCount() int64 { return s.budget.Waits }

// BudgetTimeoutCount returns the cumulative count of dials that got no place within BudgetWait, and of queries that
// found all connections of their tenant in use for that long. If it grows while OpenConns is below MaxConns, it is the
// latter: a tenant has too much to do, or a handler does not release its connections.
func (s ServerStat) BudgetTimeoutCount() int64 { return s.budget.Timeouts }

// StealCount returns the cumulative count of idle connections that were closed to make room for another.
func (s ServerStat) StealCount() int64 { return s.budget.Steals }

// PreemptCount returns the cumulative count of connections that were closed when they were released, because a tenant
// with fewer connections was waiting, or because MaxConns shrank.
func (s ServerStat) PreemptCount() int64 { return s.budget.Preempts }

// BudgetWait returns how long dials waited for a place among MaxConns, and queries on a full server for one of their
// tenant's own connections. What did not wait is not in it.
func (s ServerStat) BudgetWait() Histogram { return Histogram{s.budget.WaitTimes} }

// Dial returns how long connects took: network, TLS, login and fence, with the retries of a refused password and
// without the wait for the budget. Those that failed are in it, unless they ended before a dial.
func (s ServerStat) Dial() Histogram { return Histogram{s.dials} }

// Down reports whether the server's breaker is open: the last Config.BreakerThreshold attempts to connect or more have
// failed, and one is let through after each pause until one succeeds.
func (s ServerStat) Down() bool { return s.health.down }

// DownCount returns the cumulative count of times that the breaker opened.
func (s ServerStat) DownCount() int64 { return s.health.opened }

// BreakerRejectCount returns the cumulative count of connects that got [ErrServerDown] without a dial.
func (s ServerStat) BreakerRejectCount() int64 { return s.health.refused }
