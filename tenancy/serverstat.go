package tenancy

import "github.com/pgtenancy/pgtenancy/internal/connbudget"

// ServerStat is a snapshot of the connection budget of one server, and of its health.
type ServerStat struct {
	name   string
	budget connbudget.Stat

	down              bool
	downs, turnedAway int64
}

// Name returns the server's name as in the tenants' Endpoints, or its host:port.
func (s ServerStat) Name() string { return s.name }

// MaxConns returns the current budget: Config.MaxConns or what [Resolver.SetMaxConns] made of it; -1 for no limit.
func (s ServerStat) MaxConns() int { return s.budget.Limit }

// OpenConns returns the current number of connections: those in use, idle, being dialled and being closed. It is more
// than MaxConns only after SetMaxConns made that smaller, until enough of them are given back.
func (s ServerStat) OpenConns() int { return s.budget.Held }

// WaitingDials returns the current number of connections that wait for a place among MaxConns.
func (s ServerStat) WaitingDials() int { return s.budget.Waiting }

// DialCount returns the cumulative count of dials. Next to the requests served it tells whether MaxConns is enough: a
// dial costs as much as two hundred round trips.
func (s ServerStat) DialCount() int64 { return s.budget.Dials }

// WaitCount returns the cumulative count of dials that found no place free.
func (s ServerStat) WaitCount() int64 { return s.budget.Waits }

// RefuseCount returns the cumulative count of dials that found none within BudgetWait, and of queries that found all
// connections of their tenant in use for as long. If it grows while OpenConns is below MaxConns, it is the latter: a
// tenant has too much to do, or a handler does not give its connections back.
func (s ServerStat) RefuseCount() int64 { return s.budget.Timeouts }

// StealCount returns the cumulative count of idle connections that were closed to make room for another.
func (s ServerStat) StealCount() int64 { return s.budget.Steals }

// YieldCount returns the cumulative count of connections that were closed when they were given back, because somebody
// else waited who had less, or because MaxConns shrank.
func (s ServerStat) YieldCount() int64 { return s.budget.Preempts }

// Down reports whether the server's breaker is open: the last Config.BreakerThreshold attempts to connect or more have
// failed, and one is let through after each pause until one succeeds.
func (s ServerStat) Down() bool { return s.down }

// DownCount returns the cumulative count of times that the breaker opened.
func (s ServerStat) DownCount() int64 { return s.downs }

// TurnedAwayCount returns the cumulative count of connects that got [ErrServerDown] without a dial.
func (s ServerStat) TurnedAwayCount() int64 { return s.turnedAway }
