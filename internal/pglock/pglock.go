// Package pglock takes PostgreSQL's session advisory locks by name.
//
// A lock belongs to the session that took it: it is held until Unlock or the end of the session, and a statement that
// a killed client left running keeps it until the statement ends. Advisory locks are local to a database, so all who
// use a name must be connected to the same one; and they need a connection of their own, never one of a pool or one
// behind a transaction pooler, which would hand the lock to strangers.
package pglock

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
)

// Key is the lock key of name: the first 64 bits of its SHA-256.
func Key(name string) int64 {
	sum := sha256.Sum256([]byte(name))
	return int64(binary.BigEndian.Uint64(sum[:8])) //nolint:gosec // any 64 bits will do
}

// Lock waits for the lock and takes it. ctx bounds the wait; when it ends, pgx closes conn.
func Lock(ctx context.Context, conn *pgx.Conn, name string) error {
	if _, err := conn.Exec(ctx, "SELECT pg_catalog.pg_advisory_lock($1::bigint)", Key(name)); err != nil {
		return fmt.Errorf("pglock: lock %q: %w", name, pgerr.Redact(err))
	}
	return nil
}

// TryLock takes the lock if no other session has it, and reports whether it did.
func TryLock(ctx context.Context, conn *pgx.Conn, name string) (bool, error) {
	var ok bool
	if err := conn.QueryRow(ctx, "SELECT pg_catalog.pg_try_advisory_lock($1::bigint)", Key(name)).Scan(&ok); err != nil {
		return false, fmt.Errorf("pglock: try lock %q: %w", name, pgerr.Redact(err))
	}
	return ok, nil
}

// Unlock gives the lock back.
func Unlock(ctx context.Context, conn *pgx.Conn, name string) error {
	if _, err := conn.Exec(ctx, "SELECT pg_catalog.pg_advisory_unlock($1::bigint)", Key(name)); err != nil {
		return fmt.Errorf("pglock: unlock %q: %w", name, pgerr.Redact(err))
	}
	return nil
}

// LockEvictingStale takes the lock from a holder that has no right to it any more. It disconnects holders whose session
// is idle, such as that of a paused process, so that they can do no more under the lock, and waits for a running
// statement. conn's role must be that of the holders, or be allowed to end their sessions. ctx bounds the wait.
func LockEvictingStale(ctx context.Context, conn *pgx.Conn, name string) error {
	const least, most = 10 * time.Millisecond, 500 * time.Millisecond
	for wait := least; ; wait = min(2*wait, most) {
		ok, err := TryLock(ctx, conn, name)
		if ok || err != nil {
			return err
		}
		if err := evict(ctx, conn, name, 0); err != nil {
			return err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return fmt.Errorf("pglock: seize %q: %w", name, context.Cause(ctx))
		}
	}
}

// LockEvictingIdle waits for the lock and takes it, as Lock does, but disconnects a holder whose session has been idle
// for longer than idle: its process was paused, or its host is gone. It waits for a running statement as long as ctx
// allows.
//
// A live holder can be mistaken for a paused one. Do everything that the lock protects on the session that holds it, or
// make that work end with the session. If the work runs elsewhere for longer than idle, ping the session meanwhile.
func LockEvictingIdle(ctx context.Context, conn *pgx.Conn, name string, idle time.Duration) error {
	ok, err := TryLock(ctx, conn, name)
	for !ok && err == nil {
		if err = evict(ctx, conn, name, idle); err == nil {
			ok, err = lockWithin(ctx, conn, name, idle/2)
		}
	}
	return err
}

// lockWithin waits in the queue for the lock for a while, and reports whether it was taken.
func lockWithin(ctx context.Context, conn *pgx.Conn, name string, wait time.Duration) (bool, error) {
	_, err := conn.PgConn().Exec(ctx, fmt.Sprintf("SET LOCAL lock_timeout = %d; "+
		"SELECT pg_catalog.pg_advisory_lock(%d::bigint)",
		max(wait.Milliseconds(), 1), Key(name))).ReadAll()
	if pgerr.IsState(err, pgerr.LockNotAvailable) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("pglock: lock %q: %w", name, pgerr.Redact(err))
	}
	return true, nil
}

// evict ends the sessions that hold the lock and have been idle for so long. pg_locks shows a 64-bit key in two halves,
// with objsubid 1.
func evict(ctx context.Context, conn *pgx.Conn, name string, idle time.Duration) error {
	key := uint64(Key(name)) //nolint:gosec // the same bits
	_, err := conn.Exec(ctx, `
		SELECT pg_terminate_backend(a.pid)
		FROM pg_locks l
		JOIN pg_stat_activity a ON a.pid = l.pid AND a.state LIKE 'idle%'
		WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
		  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
		  AND l.classid::bigint = $1::bigint AND l.objid::bigint = $2::bigint
		  AND a.state_change <= clock_timestamp() - $3::float8 * interval '1 s'`,
		int64(key>>32), int64(key&0xffffffff), idle.Seconds())
	if err != nil {
		return fmt.Errorf("pglock: end holders of %q: %w", name, pgerr.Redact(err))
	}
	return nil
}
