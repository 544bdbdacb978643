package atlas

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/provision"
)

// run is a connection to a database of which it holds the lock of upgrades.
type run struct {
	conn   *pgx.Conn
	policy provision.Policy
}

func openRun(ctx context.Context, cfg *pgx.ConnConfig, policy provision.Policy) (*run, error) {
	conn, err := lockDatabase(ctx, cfg, policy)
	if err != nil {
		return nil, err
	}
	return &run{conn: conn, policy: policy}, nil
}

// close releases the lock too.
func (r *run) close(ctx context.Context) { _ = r.conn.Close(context.WithoutCancel(ctx)) }

// apply runs files and has the result verified, in the transaction of the last one if it has one.
func (r *run) apply(ctx context.Context, files []migration, verify func(context.Context, *pgx.Conn) error) error {
	verified := false
	check := func(ctx context.Context) error {
		verified = true
		if err := verify(ctx, r.conn); err != nil {
			return fmt.Errorf("verify: %w", err)
		}
		return nil
	}
	for i, f := range files {
		var err error
		switch {
		case f.statements != nil:
			err = r.step(ctx, f)
		case i == len(files)-1:
			err = r.transact(ctx, func(ctx context.Context) error {
				if err := r.file(ctx, f); err != nil {
					return err
				}
				return check(ctx)
			})
		default:
			err = r.transact(ctx, func(ctx context.Context) error { return r.file(ctx, f) })
		}
		if err != nil {
			return err
		}
	}
	if verified {
		return nil
	}
	return r.transact(ctx, check)
}

// transact calls f in a transaction of a session that is as if it were new: files are written to be run by themselves,
// and a file that sets search_path for the rest of its session (pg_dump's do) would change the meaning of the next.
func (r *run) transact(ctx context.Context, f func(context.Context) error) error {
	if err := freshen(ctx, r.conn, r.policy); err != nil {
		return redact(ctx, err)
	}
	tx, err := r.conn.Begin(ctx)
	if err != nil {
		return redact(ctx, err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if err := f(ctx); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, unpin); err != nil { // what was deferred to the commit is the files' own
		return redact(ctx, err)
	}
	return redact(ctx, tx.Commit(ctx))
}

// file runs a file in the open transaction, and records it.
func (r *run) file(ctx context.Context, f migration) error {
	if err := runFiles(ctx, r.conn, []file{{name: f.name, text: f.text}}); err != nil {
		return err
	}
	if err := freshen(ctx, r.conn, r.policy); err != nil {
		return redact(ctx, err)
	}
	return r.record(ctx, f.complete())
}

// step runs a file without a transaction, one statement after the other, from the first that the database has not had.
func (r *run) step(ctx context.Context, f migration) error {
	if err := freshen(ctx, r.conn, r.policy); err != nil {
		return redact(ctx, err)
	}
	if _, err := r.conn.Exec(ctx, "SET search_path TO DEFAULT"); err != nil {
		return redact(ctx, err)
	}
	for i := f.begun; i < len(f.statements); i++ {
		if _, err := r.conn.PgConn().Exec(ctx, f.statements[i]).ReadAll(); err != nil {
			return fmt.Errorf("%s: statement %d: %w", f.name, i+1, advise(f.statements[i], 1, redact(ctx, err)))
		}
		if status := r.conn.PgConn().TxStatus(); status != 'I' {
			return fmt.Errorf("%s: statement %d: opens a transaction", f.name, i+1)
		}
		if err := r.record(ctx, f.partial(i+1)); err != nil {
			return err
		}
	}
	return r.record(ctx, f.complete())
}
