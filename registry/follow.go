package registry

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/regdb"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Invalidator receives every change; *tenancy.Resolver implements it.
type Invalidator interface {
	// Invalidate reports that tenant id has the given epoch now. Epoch 0 makes any cached record of it out of date.
	Invalidate(id tenancy.ID, epoch int64)
}

// Revoker receives every session that is closed before it expires; *authn.Cache implements it.
type Revoker interface {
	Revoke(session string)
}

// Renewer receives each tenant whose database has a new schema, because connections cache statements of the old one;
// *tenancy.Resolver implements it. An Invalidator that is no Renewer receives epoch 0 instead.
type Renewer interface {
	Renew(id tenancy.ID)
}

// AliasForgetter receives each alias that a tenant got or lost; *tenancy.Resolver implements it. The empty alias stands
// for all.
type AliasForgetter interface {
	ForgetAlias(alias string)
}

const (
	firstBackoff = 50 * time.Millisecond
	lastBackoff  = 5 * time.Second

	// minReadInterval is the least time between two reads, however many notifications arrive.
	minReadInterval = 5 * time.Millisecond
)

// Follow passes every change to a tenant to inv until ctx ends, and then returns nil. It begins with the changes since
// New, so that it covers every record that was looked up through r before. It may pass one change more than once. It
// calls inv from one goroutine, its caller's.
//
// If inv is a [Renewer] too, it receives every change of a schema. If it is a [Revoker] too, it receives every closed
// session, beginning with those of the last hour. An [AliasForgetter] receives every change of an alias. A struct that
// embeds a *tenancy.Resolver and an *authn.Cache is all of these.
//
// Follow keeps one connection of its own. It listens first, then reads what it has not seen. It reads again after a
// notification, and every Config.PollInterval, which also shows whether the connection still lives. A notification is
// a hint and no more: what changed is read from the table alone, so that a forged one costs a query and tells inv
// nothing, and a burst of them costs one. When the connection fails, Follow makes a new one, with backoff, and goes on
// after the last change that inv was told of. Config.Logger hears of the first failure in a row, and of its end.
//
// A registry that was restored from a backup, or failed over to a server that had not received everything, has lost
// changes that inv was told of, and may have others in their place. When Follow sees that, it tells inv of every
// tenant, with epoch 0, and begins anew. Config.Logger hears of it at level Warn, and [FollowStat.LostCount] counts it.
//
// [Registry.FollowStat] says how it goes, and [Registry.Check] fails while it does not.
func (r *Registry) Follow(ctx context.Context, inv Invalidator) error {
	f := &follower{registry: r, inv: inv, last: unknown, outage: outage{logger: r.logger, what: "follow"}}
	defer r.following.begin(f, time.Now())()
	for failures := 0; ctx.Err() == nil; failures++ {
		worked, err := f.follow(ctx)
		if worked {
			failures = 0
		}
		if ctx.Err() == nil {
			r.following.failed(f, err)
		}
		f.outage.note(ctx, regdb.Redact("follow", err))
		wait(ctx, backoff(failures))
	}
	return nil
}

// follower is the state of one Follow.
type follower struct {
	registry *Registry
	inv      Invalidator
	last     int64     // version of the newest change that inv was told of
	seen     change    // that change, if its version is last; it may not have been read
	purged   time.Time // zero: there is more to purge
	outage   outage
}

// unknown is the last version before the first connection.
const unknown = -1

// follow follows on one connection until it fails or ctx ends. It reports whether the connection ever worked.
func (f *follower) follow(ctx context.Context) (worked bool, err error) {
	conn, err := connect(ctx, f.registry.db.Pool)
	if err != nil {
		return false, err
	}
	defer closeConn(ctx, conn)
	if err := f.listen(ctx, conn); err != nil {
		return false, err
	}
	for {
		if err := f.catchUp(ctx, conn); err != nil {
			return worked, err
		}
		worked = true
		f.registry.following.read(f, time.Now())
		f.outage.note(ctx, nil)
		if err := f.awaitChange(ctx, conn); err != nil {
			return worked, err
		}
	}
}

// listen has the connection hear of notifications from now on.
func (f *follower) listen(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, f.statementTimeout())
	defer cancel()
	_, err := conn.Exec(ctx, "LISTEN "+regdb.Channel)
	return err
}

// awaitChange returns when it is time to read: after a notification, or when the poll interval is over. It takes all
// notifications that are there, and those of the lull after the last read: what they announce was committed before
// they came, so that the one read that follows sees it.
func (f *follower) awaitChange(ctx context.Context, conn *pgx.Conn) error {
	next := time.Now().Add(minReadInterval)
	notified, err := notification(ctx, conn, f.registry.poll)
	for notified && err == nil {
		notified, err = notification(ctx, conn, time.Until(next))
	}
	return err
}

// notification waits for a notification for d at most, and reports whether there was one.
func notification(ctx context.Context, conn *pgx.Conn, d time.Duration) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	_, err := conn.WaitForNotification(ctx) // a buffered notification is returned even after d
	if err != nil && ctx.Err() != nil && !conn.IsClosed() {
		return false, nil
	}
	return err == nil, err
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

// change is one row of the feed.
type change struct {
	version int64
	tenant  tenancy.ID
	epoch   int64  // 0: the record is the same; what connections remember of the tenant's database is out of date
	session string // not empty: this session was closed, and that is all
	alias   string // not empty: this alias leads elsewhere, and that is all
	at      int64  // Unix time, in µs
}

// apply passes c on to the receivers that it concerns.
func (c change) apply(inv Invalidator) {
	if c.session != "" {
		if r, ok := inv.(Revoker); ok {
			r.Revoke(c.session)
		}
		return
	}
	if c.alias != "" {
		if r, ok := inv.(AliasForgetter); ok {
			r.ForgetAlias(c.alias)
		}
		return
	}
	if r, ok := inv.(Renewer); ok && c.epoch == 0 {
		r.Renew(c.tenant)
		return
	}
	inv.Invalidate(c.tenant, c.epoch)
}
