package catalog

import (
	"context"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// SignRefreshToken is a token of a session whose secret is known.
func SignRefreshToken(secret []byte, s Session, counter int64) tenancy.Secret {
	return signRefreshToken(secret, s, counter)
}

// MaxThrottles is how many counts a sweep leaves.
const MaxThrottles = maxThrottles

// SweepThrottles is what one attempt of many does.
func (cat *Catalog) SweepThrottles(ctx context.Context) error { return cat.sweepThrottlesNow(ctx) }

// MaxSessions is how many sessions an admin has.
const MaxSessions = maxSessions
