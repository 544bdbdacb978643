package connbudget

import "context"

// TakeCancelSlot waits for a place among the cancel requests that are in flight to a's server, until ctx ends. Cancel
// requests need no permit, because PostgreSQL does not count them as connections, and could not wait for one: the
// connection whose query they cancel holds it. The caller must call GiveCancelSlot when the request's socket is closed.
func (a *Account) TakeCancelSlot(ctx context.Context) error {
	select {
	case a.budget.cancels <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// GiveCancelSlot gives a place back.
func (a *Account) GiveCancelSlot() { <-a.budget.cancels }
