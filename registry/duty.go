package registry

import (
	"context"
	"fmt"
	"time"
)

// TakeDuty reports whether the duty called name falls to the caller now. Whoever takes it keeps it from all other
// callers, in whatever process, for as long as every, also if it dies: the duty is taken no more often than that. It is
// done by one at a time only if it ends within every, since it cannot be renewed; one that takes longer may be begun by
// another caller meanwhile. Time is the database's. ctx governs the statement.
func (r *Registry) TakeDuty(ctx context.Context, name string, every time.Duration) (bool, error) {
	return r.exec(ctx, fmt.Sprintf("take duty %q", name), `
		INSERT INTO pgtenancy.duties (name, until) VALUES ($1, now() + $2::interval)
		ON CONFLICT (name) DO UPDATE SET until = excluded.until WHERE duties.until <= now()`, name, every)
}
