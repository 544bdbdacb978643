package registry

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Invalidator is told of every change; *tenancy.Resolver is one.
type Invalidator interface {
	Invalidate(id tenancy.ID, epoch int64)
}

// Revoker is told of every session that is closed before its time; *authn.Cache is one.
type Revoker interface {
	Revoke(session string)
}

const (
	firstBackoff = 50 * time.Millisecond
	lastBackoff  = 5 * time.Second
)

// Follow tells inv of every change to a tenant until ctx ends, and then returns nil. It begins with what changed since
// New, so that nothing that was looked up through r before is missed, and it may tell inv of one change more than
// once. It calls inv from one goroutine, its caller's.
//
// If inv is a [Revoker] too, it is told of every closed session, beginning with those of the last hour. A struct that
// embeds a *tenancy.Resolver and an *authn.Cache is both.
//
// Follow keeps one connection of its own. It listens first, then reads what it has not seen, then follows; every
// Config.PollInterval it reads again, which also shows whether the connection still lives. When the connection fails
// it makes a new one, with backoff, and goes on after the last change that inv was told of.
func (r *Registry) Follow(ctx context.Context, inv Invalidator) error {
	f := &follower{registry: r, inv: inv, last: unknown}
	for failures := 0; ctx.Err() == nil; failures++ {
		if f.follow(ctx) {
			failures = 0
		}
		wait(ctx, backoff(failures))
	}
	return nil
}

// follower is the state of one Follow.
type follower struct {
	registry *Registry
	inv      Invalidator
	last     int64 // version of the newest change that inv was told of
	purged   time.Time
}

// unknown is the last version before the first connection.
const unknown = -1

// follow follows on one connection until it fails or ctx ends. It reports whether the connection ever worked.
func (f *follower) follow(ctx context.Context) (worked bool) {
	conn, err := connect(ctx, f.registry.pool)
	if err != nil {
		return false
	}
	defer hangUp(ctx, conn)
	if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
		return false
	}
	for {
		if err := f.catchUp(ctx, conn); err != nil {
			return worked
		}
		worked = true
		if err := f.listen(ctx, conn); err != nil {
			return worked
		}
	}
}

// listen follows notifications until one shows a gap, or the poll interval is over, or the connection fails.
func (f *follower) listen(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, f.registry.poll)
	defer cancel()
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			if ctx.Err() != nil && !conn.IsClosed() {
				return nil // time to read
			}
			return err
		}
		c, err := parseChange(n.Payload)
		if err != nil || c.version > f.last+1 {
			return nil // somebody else's notification, or one was missed: the table knows
		}
		if c.version == f.last+1 {
			c.tell(f.inv)
			f.last = c.version
		}
	}
}

// backoff returns a random time that grows with the number of failures in a row.
func backoff(failures int) time.Duration {
	return rand.N(min(firstBackoff<<min(failures, 10), lastBackoff)) + time.Millisecond //nolint:gosec // jitter
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
