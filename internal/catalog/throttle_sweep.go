package catalog

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	// maxThrottles is how many rows a sweep leaves, homes not counted; about 20 MB with their indexes.
	maxThrottles = 100_000

	sweepInterval = 10 * time.Second // of all processes together
	sweepOdds     = 64               // one attempt of so many asks whether it is time
)

// sweepThrottles deletes what says nothing any more, and what is too much, if it is this caller's turn. Between two sweeps
// there are more rows by what attempts were admitted.
func (cat *Catalog) sweepThrottles(ctx context.Context) error {
	if rand.N(sweepOdds) > 0 { //nolint:gosec // nothing is won by guessing it
		return nil
	}
	if mine, err := cat.TryLease(ctx, "sweep throttles", sweepInterval); err != nil || !mine {
		return err
	}
	return cat.sweepThrottlesNow(ctx)
}

func (cat *Catalog) sweepThrottlesNow(ctx context.Context) error {
	if _, err := cat.db.Exec(ctx, "sweep throttles", `DELETE FROM pgtenancy.throttles WHERE key IN (
			SELECT key FROM pgtenancy.throttles WHERE expires_at <= now() ORDER BY expires_at LIMIT $1)`,
		maxThrottles); err != nil {
		return err
	}
	_, err := cat.db.Exec(ctx, "sweep throttles", `DELETE FROM pgtenancy.throttles WHERE key IN (
			SELECT key FROM pgtenancy.throttles WHERE NOT known ORDER BY expires_at
			LIMIT greatest(0, (SELECT count(*) FROM pgtenancy.throttles WHERE NOT known) - $1::bigint))`, maxThrottles)
	return err
}
