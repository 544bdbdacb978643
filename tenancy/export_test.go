package tenancy

import (
	"context"
	"time"
)

// Budget is the queue of a server's budget, without connections.
type Budget struct{ s *server }

// NewBudget returns the budget of a server of which nobody has a connection.
func NewBudget(limit int) Budget { return Budget{newServer("pg", limit, 0)} }

// Account returns that of a tenant.
func (b Budget) Account() *account { return b.Weighted(1) }

// Weighted is Account for a tenant of some weight.
func (b Budget) Weighted(weight int) *account { return &account{server: b.s, weight: weight} }

// Take waits for a permit.
func (b Budget) Take(ctx context.Context, a *account, wait time.Duration) error {
	return a.take(ctx, ctx, wait)
}

// Connected ends a connect that Take allowed.
func (b Budget) Connected() {
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	b.s.dialledLocked()
}

// Give gives a permit back.
func (b Budget) Give(a *account) {
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	b.s.releaseLocked(a)
}

// Stat returns the figures.
func (b Budget) Stat() ServerStat { return b.s.stat() }

// SetLimit changes the budget.
func (b Budget) SetLimit(n int) { b.s.setLimit(n) }

// AbandonedSettings are what a connection gets that Base does not say.
func AbandonedSettings() map[string]string { return abandonedSettings() }
