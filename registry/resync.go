package registry

import (
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

const (
	// startSlack is how much older than New a change may say it is and still have committed after it.
	startSlack = time.Minute

	// revokerSlack is for tokens that were issued before this process was born: they are to expire within it.
	revokerSlack = time.Hour

	// batch bounds the rows of one statement.
	batch = 1000

	purgeInterval = 10 * time.Minute

	minStatementTimeout = 2 * time.Second
)

// statementTimeout is how long a statement may take before the connection counts as dead: the poll interval, but no
// less than what a busy registry needs, or a follower that polls often would never get through.
func (f *follower) statementTimeout() time.Duration { return max(f.registry.poll, minStatementTimeout) }

// catchUp tells the Invalidator of every change that it was not told of.
func (f *follower) catchUp(ctx context.Context, conn *pgx.Conn) error {
	for more := true; more; {
		var err error
		if f.last == unknown {
			if err = f.start(ctx, conn); err != nil {
				return err
			}
		}
		if more, err = f.read(ctx, conn); err != nil {
			return err
		}
	}
	return f.purge(ctx, conn)
}

// start finds the version to begin after: the newest, or what came before the changes since New.
func (f *follower) start(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, f.statementTimeout())
	defer cancel()
	age := time.Since(f.registry.born) + startSlack
	if _, ok := f.inv.(Revoker); ok {
		age += revokerSlack
	}
	return conn.QueryRow(ctx, `SELECT least(version,
		(SELECT min(version) - 1 FROM pgtenancy.changes WHERE changed_at > now() - $1::interval))
		FROM pgtenancy.feed WHERE id = 1`, age).Scan(&f.last)
}

// read tells the Invalidator of one batch of changes and reports whether there may be more.
func (f *follower) read(ctx context.Context, conn *pgx.Conn) (more bool, err error) {
	newest, changes, err := f.query(ctx, conn)
	if err != nil {
		return false, err
	}
	known := f.seen.version == f.last
	if len(changes) > 0 && changes[0].version == f.last {
		if known && changes[0] != f.seen {
			return true, f.restart(ctx, conn)
		}
		f.seen, changes = changes[0], changes[1:]
	}
	switch {
	case newest < f.last:
		return true, f.restart(ctx, conn)
	case newest == f.last:
		return false, nil
	case len(changes) == 0 || changes[0].version != f.last+1:
		// Versions have no gaps: the next one was purged while this process was away.
		f.noteLost(ctx, "changes were purged before they were read: every tenant is invalidated")
		err := f.invalidateAll(ctx, conn, false)
		if err == nil {
			f.last = newest
		}
		return true, err
	}
	for _, c := range changes {
		c.apply(f.inv)
		f.last, f.seen = c.version, c
	}
	return f.last < newest, nil
}

// query returns the feed's newest version and a batch of changes: the last reported one, if it is still there, and its
// successors.
func (f *follower) query(ctx context.Context, conn *pgx.Conn) (newest int64, changes []change, err error) {
	ctx, cancel := context.WithTimeout(ctx, f.statementTimeout())
	defer cancel()
	rows, _ := conn.Query(ctx, `SELECT f.version, coalesce(c.version, 0), coalesce(c.tenant_id, ''), coalesce(c.epoch, 0),
		coalesce(c.session, ''), coalesce(c.alias, ''), coalesce(c.changed_at, 'epoch')
		FROM pgtenancy.feed f LEFT JOIN pgtenancy.changes c ON c.version BETWEEN $1::bigint
			AND least(f.version, $1::bigint + $2::bigint)
		WHERE f.id = 1 ORDER BY c.version`, f.last, batch)
	var c change
	var at time.Time
	fields := []any{&newest, &c.version, &c.tenant, &c.epoch, &c.session, &c.alias, &at}
	_, err = pgx.ForEachRow(rows, fields, func() error {
		if c.at = at.UnixMicro(); c.version > 0 { // else there is none
			changes = append(changes, c)
		}
		return nil
	})
	return newest, changes, err
}

// restart is for a registry that has lost reported changes: after a restore, or a failover to a server that had not
// received everything. The Invalidator may hold a record that never took effect, with a greater epoch than the
// registry's. The changes that took the place of the lost ones were not reported, so that all are reported again.
func (f *follower) restart(ctx context.Context, conn *pgx.Conn) error {
	f.noteLost(ctx, "the registry has lost changes, after a restore or a failover: every tenant is invalidated")
	if err := f.invalidateAll(ctx, conn, true); err != nil {
		return err
	}
	f.last, f.seen = unknown, change{}
	return nil
}

// noteLost says and counts that changes cannot be told one by one. It may do so again if the telling is broken off.
func (f *follower) noteLost(ctx context.Context, what string) {
	f.registry.following.lost()
	f.registry.logger.LogAttrs(ctx, slog.LevelWarn, "registry: "+what)
}

// invalidateAll tells the Invalidator of every tenant there is or was, in place of changes that are not there, with its
// epoch or as out of date at any epoch. It may take longer than statementTimeout, as a million tenants are a
// second or two; but none of them may.
func (f *follower) invalidateAll(ctx context.Context, conn *pgx.Conn, whatever bool) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if r, ok := f.inv.(AliasForgetter); ok {
		r.ForgetAlias("")
	}
	late := time.AfterFunc(f.statementTimeout(), func() { cancel(context.DeadlineExceeded) })
	defer late.Stop()
	rows, _ := conn.Query(ctx, `SELECT id, epoch FROM pgtenancy.tenants
		UNION ALL SELECT id, epoch FROM pgtenancy.retired_ids`)
	var id tenancy.ID
	var epoch int64
	_, err := pgx.ForEachRow(rows, []any{&id, &epoch}, func() error {
		late.Reset(f.statementTimeout())
		if whatever {
			epoch = 0
		}
		f.inv.Invalidate(id, epoch)
		if !whatever {
			change{tenant: id}.apply(f.inv) // its schema may have changed too
		}
		return nil
	})
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// purge deletes a batch of changes that are older than a day, and of sessions that ended as long ago. Every process
// that follows does so now and then, and after each read while there is more than a batch; two at once do no harm.
func (f *follower) purge(ctx context.Context, conn *pgx.Conn) error {
	if time.Since(f.purged) < purgeInterval {
		return nil
	}
	f.purged = time.Now()
	ctx, cancel := context.WithTimeout(ctx, f.statementTimeout())
	defer cancel()
	more := false
	for _, sql := range []string{
		`DELETE FROM pgtenancy.changes WHERE version IN (SELECT version FROM pgtenancy.changes
			WHERE changed_at < now() - interval '24 hours' ORDER BY changed_at LIMIT $1)`,
		`DELETE FROM pgtenancy.sessions WHERE id IN (SELECT id FROM pgtenancy.sessions
			WHERE expires_at < now() - interval '24 hours' ORDER BY expires_at LIMIT $1)`,
	} {
		deleted, err := conn.Exec(ctx, sql, batch)
		if err != nil {
			return err
		}
		more = more || deleted.RowsAffected() == batch
	}
	if more {
		f.purged = time.Time{}
	}
	return nil
}
