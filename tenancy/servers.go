package tenancy

import (
	"cmp"
	"slices"
	"strings"

	"github.com/pgtenancy/pgtenancy/internal/connbudget"
)

// server is one PostgreSQL server: its connection budget, and what is known of its health.
type server struct {
	budget   *connbudget.Budget
	bulkhead bulkhead
}

// server returns the budget of the server with the given name.
func (r *Resolver) server(name string) *server {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, ok := r.servers[name]
	if !ok {
		name = strings.Clone(name) // kept; the caller may reuse its bytes
		s = &server{budget: connbudget.New(connbudget.Config{
			Name: name, Limit: r.cfg.MaxConns, MaxDials: r.cfg.MaxDialsPerServer, Full: ErrAtCapacity,
		})}
		s.bulkhead.name, s.bulkhead.r = name, r
		s.bulkhead.breaker.threshold = max(r.cfg.BreakerThreshold, 0)
		r.servers[name] = s
	}
	return s
}

// SetMaxConns changes the connection budget of one server from Config.MaxConns to n, from now on, and returns how many
// connections to it are open. Zero allows none, a negative n any number. server is the name in the tenants' Endpoints,
// or host:port. It need not have been used yet.
//
// It does not wait. If more than n are open, idle ones are closed in the background, which takes a moment, or a second
// if the server does not answer; a connection that is in use is closed when its user gives it back, and no new one is
// opened until there are fewer than n. [ServerStat.OpenConns] tells when that is so, and so does the next call.
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
	stat := ServerStat{budget: s.budget.Stat()}
	s.bulkhead.stat(&stat)
	return stat
}
