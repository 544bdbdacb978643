package tenancy

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
)

// doubtPause is how long a record that was confirmed after a doubt is not doubted again: a wrong password in the
// directory must not make every request ask it.
const doubtPause = time.Second

// fence asks the database at the other end of conn whose it is, in one round trip. It works through a transaction
// pooler.
func (g *guard) fence(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, g.timeout)
	defer cancel()
	var comment string
	// Qualified to the operator: whoever has the role's password must not answer for PostgreSQL.
	err := conn.QueryRow(ctx, `SELECT coalesce(pg_catalog.shobj_description(oid, 'pg_database'::pg_catalog.name), '')
		FROM pg_catalog.pg_database WHERE datname OPERATOR(pg_catalog.=) pg_catalog.current_database()`,
		pgx.QueryExecModeExec).Scan(&comment)
	if err != nil {
		return fmt.Errorf("tenancy: read the mark of tenant %q: %w", g.id, pgerr.Redact(err))
	}
	mark, ok := ParseMark(comment)
	if !ok {
		err = fmt.Errorf("%w: tenant %q: the database has no mark", ErrFenced, g.id)
	} else {
		err = mark.admits(g.tenant.Load())
	}
	if err != nil {
		g.r.doubt(g)
		g.r.cfg.Observer.fenced(g.id, err)
	}
	return err
}

// doubt makes the next Acquire of g's tenant ask the directory, because the server refused what is known of the tenant.
// If the record is still the same, the pool stays.
func (r *Resolver) doubt(g *guard) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.entries.Peek(g.id)
	if !ok || e.opened == nil || e.opened.guard != g {
		return // it was replaced already
	}
	if now := r.now(); e.doubted == 0 || now >= e.doubted+doubtPause {
		e.doubted, e.freshUntil = now, 0
	}
}
