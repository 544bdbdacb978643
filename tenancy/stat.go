package tenancy

import "time"

// Stat is a snapshot of a resolver's figures.
type Stat struct {
	count          counters
	open, draining int
	asleep         int
	oldest         time.Duration
	leases         int
	openings       int
	queue          int
	maxPools       int
	servers        []ServerStat
	waits          Waits
}

// Stat returns a snapshot. It takes the resolver's lock for a moment; call it every few seconds, not for each request.
func (r *Resolver) Stat() *Stat {
	servers := r.serverStats()
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &Stat{
		servers:  servers,
		count:    r.count,
		open:     r.entries.Len(),
		asleep:   r.asleep,
		draining: len(r.retiring),
		leases:   r.leases,
		openings: len(r.openings),
		queue:    len(r.slots.queue),
		maxPools: r.cfg.MaxPools,
	}
	s.waits = Waits{Acquire: Histogram{r.waits.acquire.Snapshot()}, Lookup: Histogram{r.waits.lookup.Snapshot()}}
	for _, server := range servers {
		s.waits.Budget.s.Add(server.budget.WaitTimes)
		s.waits.Dial.s.Add(server.dials)
	}
	now := r.now()
	for e := range r.retiring {
		s.oldest = max(s.oldest, now-e.evicted)
	}
	return s
}

// OpenPools returns the current number of pools that can be leased.
func (s *Stat) OpenPools() int { return s.open }

// SleepingPools returns how many of OpenPools have no connection and have had no lease for a moment. A sleeping pool
// takes less than 1 KB and no goroutine; the next Acquire wakes it, in microseconds and without asking the directory.
func (s *Stat) SleepingPools() int { return s.asleep }

// DrainingPools returns the current number of pools that were evicted and are not closed yet.
func (s *Stat) DrainingPools() int { return s.draining }

// OldestDraining returns how long the pool that was evicted first of the current draining ones has been draining. Much
// more than DrainTimeout means that a holder did not release a connection.
func (s *Stat) OldestDraining() time.Duration { return s.oldest }

// MaxPools returns Config.MaxPools, the limit of OpenPools and DrainingPools together.
func (s *Stat) MaxPools() int { return s.maxPools }

// Servers returns a snapshot of each server that a pool was opened for, in the order of their names.
func (s *Stat) Servers() []ServerStat { return s.servers }

// Waits returns how long things took so far. Those of one server are in Servers.
func (s *Stat) Waits() Waits { return s.waits }

// Leases returns the current number of leases that are not released.
func (s *Stat) Leases() int { return s.leases }

// Openings returns the current number of look-ups in flight, with the opening of the pool that follows.
func (s *Stat) Openings() int { return s.openings }

// WaitingOpeners returns the current number of openings that wait because MaxPools are open.
func (s *Stat) WaitingOpeners() int { return s.queue }

// HitCount returns the cumulative count of acquires that were served without waiting.
func (s *Stat) HitCount() int64 { return s.count.hits }

// MissCount returns the cumulative count of acquires that were not.
func (s *Stat) MissCount() int64 { return s.count.misses }

// LookupCount returns the cumulative count of look-ups in the directory.
func (s *Stat) LookupCount() int64 { return s.count.lookups }

// NotFoundCount returns the cumulative count of acquires that got a remembered [ErrNotFound].
func (s *Stat) NotFoundCount() int64 { return s.count.notFound }

// OpenCount returns the cumulative count of pools opened.
func (s *Stat) OpenCount() int64 { return s.count.opened }

// WakeCount returns the cumulative count of sleeping pools that were leased again.
func (s *Stat) WakeCount() int64 { return s.count.woken }

// OpenErrorCount returns the cumulative count of openings that failed. Tenants that do not exist or are not active are
// no failures.
func (s *Stat) OpenErrorCount() int64 { return s.count.failed }

// StaleCount returns the cumulative count of times that an old record was used, under StaleGrace, because a look-up
// failed or took too long.
func (s *Stat) StaleCount() int64 { return s.count.stale }

// EvictCount returns the cumulative count of pools evicted for the given cause.
func (s *Stat) EvictCount(cause Cause) int64 {
	if cause < 0 || cause >= causes {
		return 0
	}
	return s.count.evicted[cause]
}
