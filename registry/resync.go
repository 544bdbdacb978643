package registry

import (
	"context"
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

	minPatience = 2 * time.Second
)

// patience is how long a statement may take before the connection counts as dead: the poll interval, but no less than
// what a busy registry needs, or a follower that polls often would never get through.
func (f *follower) patience() time.Duration { return max(f.registry.poll, minPatience) }

// catchUp tells the Invalidator of every change that it was not told of.
func (f *follower) catchUp(ctx context.Context, conn *pgx.Conn) error {
	if f.last == unknown {
		if err := f.start(ctx, conn); err != nil {
			return err
		}
	}
	for {
		more, err := f.read(ctx, conn)
		if err != nil {
			return err
		}
		if !more {
			return f.purge(ctx, conn)
		}
	}
}

// start finds the version to begin after: the newest, or what came before the changes since New.
func (f *follower) start(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, f.patience())
	defer cancel()
	age := time.Since(f.registry.born) + startSlack
	if _, ok := f.inv.(Revoker); ok {
		age += revokerSlack
	}
	return conn.QueryRow(ctx, `SELECT coalesce(
		(SELECT min(version) - 1 FROM pgtenancy.changes WHERE changed_at > now() - $1::interval),
		(SELECT version FROM pgtenancy.feed WHERE id = 1))`, age).Scan(&f.last)
}

// line is the feed's newest version beside a change that was not seen yet; nil if there is none.
type line struct {
	newest  int64
	version *int64
	tenant  *tenancy.ID
	epoch   *int64
	session *string
}

// read tells the Invalidator of one batch of changes and reports whether there may be more.
func (f *follower) read(ctx context.Context, conn *pgx.Conn) (more bool, err error) {
	lines, err := f.query(ctx, conn)
	if err != nil || len(lines) == 0 || lines[0].newest == f.last {
		return false, err
	}
	// Versions have no gaps. If the next one is missing, it was purged while this process was away; if the feed went
	// back, the registry was restored from a backup.
	first := lines[0]
	if first.version == nil || *first.version != f.last+1 {
		return true, f.everything(ctx, conn, first.newest)
	}
	for _, l := range lines {
		c := change{version: *l.version, tenant: *l.tenant, epoch: *l.epoch, session: *l.session}
		c.tell(f.inv)
		f.last = c.version
	}
	return f.last < first.newest, nil
}

func (f *follower) query(ctx context.Context, conn *pgx.Conn) ([]line, error) {
	ctx, cancel := context.WithTimeout(ctx, f.patience())
	defer cancel()
	rows, _ := conn.Query(ctx, `SELECT f.version, c.version, c.tenant_id, c.epoch, c.session
		FROM pgtenancy.feed f LEFT JOIN pgtenancy.changes c ON c.version > $1
		WHERE f.id = 1 ORDER BY c.version LIMIT $2`, f.last, batch)
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (l line, err error) {
		err = row.Scan(&l.newest, &l.version, &l.tenant, &l.epoch, &l.session)
		return l, err
	})
}

// everything tells the Invalidator of every tenant there is or was, in place of the changes up to newest. It may take longer than patience, as a million tenants are a second or two;
// but none of them may.
func (f *follower) everything(ctx context.Context, conn *pgx.Conn, newest int64) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	late := time.AfterFunc(f.patience(), func() { cancel(context.DeadlineExceeded) })
	defer late.Stop()
	rows, _ := conn.Query(ctx, `SELECT id, epoch FROM pgtenancy.tenants
		UNION ALL SELECT id, epoch FROM pgtenancy.retired_ids`)
	var id tenancy.ID
	var epoch int64
	_, err := pgx.ForEachRow(rows, []any{&id, &epoch}, func() error {
		late.Reset(f.patience())
		f.inv.Invalidate(id, epoch)
		return nil
	})
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err == nil {
		f.last = newest
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
	ctx, cancel := context.WithTimeout(ctx, f.patience())
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
