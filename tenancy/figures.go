package tenancy

import (
	"iter"
)

// Figure is one figure of a [Stat], for an exporter. Names, labels and meanings are kept from version to version.
type Figure struct {
	// Name is in snake case, without a prefix: open_pools. It ends in its unit if it has one (seconds), and a counter's
	// in total.
	Name string

	// Help is what the figure means, in one line.
	Help string

	Kind FigureKind

	// Label is the name of the figure's one label, server or cause, and LabelValue its value. Empty: there is none. There
	// are as many values as servers and causes: no tenant is among them.
	Label, LabelValue string

	// Value is that of a gauge or counter.
	Value float64

	// Histogram is that of a histogram, in seconds for an exporter that has units.
	Histogram Histogram
}

// FigureKind says how a figure changes.
type FigureKind int

// The kinds of figures.
const (
	Gauge            FigureKind = iota // goes up and down
	CumulativeCount                    // only grows
	WaitDistribution                   // a Histogram, whose counts only grow
)

// Figures returns all figures of s and of its servers. Figures of one name follow one another.
func (s *Stat) Figures() iter.Seq[Figure] {
	return func(yield func(Figure) bool) {
		for _, f := range s.figures() {
			if !yield(f) {
				return
			}
		}
		for _, family := range serverFigures() {
			for _, server := range s.servers {
				if !yield(family.of(server)) {
					return
				}
			}
		}
	}
}

func (s *Stat) figures() []Figure {
	figures := []Figure{
		gauge("open_pools", "Pools that can be leased.", s.open),
		gauge("sleeping_pools", "Open pools without a connection.", s.asleep),
		gauge("draining_pools", "Pools that were evicted and are not closed yet.", s.draining),
		gauge("max_pools", "Limit of open and draining pools.", s.maxPools),
		gauge("oldest_draining_seconds", "How long the pool evicted first has been draining.", s.oldest.Seconds()),
		gauge("leases", "Leases that are not released.", s.leases),
		gauge("openings", "Look-ups in flight, with the opening that follows.", s.openings),
		gauge("waiting_openers", "Openings that wait because all pools are leased.", s.queue),
		count("hits_total", "Acquires that were served without waiting.", s.count.hits),
		count("misses_total", "Acquires that were not.", s.count.misses),
		count("lookups_total", "Look-ups in the directory.", s.count.lookups),
		count("not_found_total", "Acquires that got a remembered not found.", s.count.notFound),
		count("opens_total", "Pools opened.", s.count.opened),
		count("wakes_total", "Sleeping pools that were leased again.", s.count.woken),
		count("open_errors_total", "Openings that failed.", s.count.failed),
		count("stale_total", "Old records used because the directory failed.", s.count.stale),
	}
	for cause := range Cause(causes) {
		f := count("evictions_total", "Pools evicted, by cause.", s.count.evicted[cause])
		f.Label, f.LabelValue = "cause", cause.String()
		figures = append(figures, f)
	}
	return append(figures,
		wait("acquire_wait_seconds", "Acquires that found no open pool with a fresh record.", s.waits.Acquire),
		wait("lookup_seconds", "Answers of the directory.", s.waits.Lookup))
}

// serverFigure is a family of figures that has one for each server.
type serverFigure struct {
	Figure
	set func(*Figure, ServerStat)
}

func (f serverFigure) of(server ServerStat) Figure {
	f.Label, f.LabelValue = "server", server.name
	f.set(&f.Figure, server)
	return f.Figure
}

func serverFigures() []serverFigure {
	number := func(f Figure, value func(ServerStat) float64) serverFigure {
		return serverFigure{f, func(f *Figure, s ServerStat) { f.Value = value(s) }}
	}
	spread := func(f Figure, value func(ServerStat) Histogram) serverFigure {
		return serverFigure{f, func(f *Figure, s ServerStat) { f.Histogram = value(s) }}
	}
	return []serverFigure{
		number(gauge("server_max_connections", "Budget of connections; -1 for no limit.", 0),
			func(s ServerStat) float64 { return float64(s.MaxConns()) }),
		number(gauge("server_open_connections", "Connections in use, idle, being dialled and being closed.", 0),
			func(s ServerStat) float64 { return float64(s.OpenConns()) }),
		number(gauge("server_waiting_dials", "Connections that wait for a place in the budget.", 0),
			func(s ServerStat) float64 { return float64(s.WaitingDials()) }),
		number(gauge("server_down", "1 while the breaker is open.", 0),
			func(s ServerStat) float64 { return map[bool]float64{true: 1}[s.Down()] }),
		number(count("server_dials_total", "Dials.", 0),
			func(s ServerStat) float64 { return float64(s.DialCount()) }),
		number(count("server_waits_total", "Dials that found no place free.", 0),
			func(s ServerStat) float64 { return float64(s.WaitCount()) }),
		number(count("server_budget_timeouts_total", "Dials and queries that got no connection in time.", 0),
			func(s ServerStat) float64 { return float64(s.BudgetTimeoutCount()) }),
		number(count("server_steals_total", "Idle connections closed to make room.", 0),
			func(s ServerStat) float64 { return float64(s.StealCount()) }),
		number(count("server_preempts_total", "Connections closed on release, for a tenant that waits.", 0),
			func(s ServerStat) float64 { return float64(s.PreemptCount()) }),
		number(count("server_downs_total", "Times that the breaker opened.", 0),
			func(s ServerStat) float64 { return float64(s.DownCount()) }),
		number(count("server_breaker_rejects_total", "Connects refused while the breaker was open.", 0),
			func(s ServerStat) float64 { return float64(s.BreakerRejectCount()) }),
		spread(wait("server_budget_wait_seconds", "Waits for a place in the budget.", Histogram{}), ServerStat.BudgetWait),
		spread(wait("server_dial_seconds", "Connects: network, TLS, login and fence.", Histogram{}), ServerStat.Dial),
	}
}

func gauge[N int | float64](name, help string, value N) Figure {
	return Figure{Name: name, Help: help, Kind: Gauge, Value: float64(value)}
}

func count(name, help string, value int64) Figure {
	return Figure{Name: name, Help: help, Kind: CumulativeCount, Value: float64(value)}
}

func wait(name, help string, h Histogram) Figure {
	return Figure{Name: name, Help: help, Kind: WaitDistribution, Histogram: h}
}
