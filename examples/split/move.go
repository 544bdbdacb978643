// Package split moves organizations out of one database, in which each row names its organization, into databases of
// their own: one organization after another, while the service runs. docs/adopting.md describes it.
//
// Read move.go first, then copy.go. lock.sql goes into the shared database before the first move.
package split

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Move gives an organization a database of its own, and returns nil when it is served from there. From its first
// statement on the shared database refuses writes of the organization, after those under way have committed. If the
// move fails, they are allowed again. After a crash, or if ctx ends in the middle, call it again.
func (s *Shared) Move(ctx context.Context, p *provision.Provisioner, reg *registry.Registry, org string) error {
	if err := s.setMoved(ctx, org, true); err != nil {
		return err
	}
	_, createErr := p.Create(ctx, provision.Request{Aliases: []string{org}, Data: []byte(org)})
	for {
		active, err := state(ctx, reg, org)
		switch {
		case active:
			return nil
		case errors.Is(err, tenancy.ErrNotFound) && createErr != nil: // nothing is left of it
			return errors.Join(createErr, s.setMoved(ctx, org, false))
		}
		select {
		case <-ctx.Done():
			return errors.Join(createErr, ctx.Err())
		case <-time.After(100 * time.Millisecond): // the reconciler finishes it or undoes it
		}
	}
}

// state reports whether an organization is served from a database of its own.
func state(ctx context.Context, reg *registry.Registry, org string) (active bool, err error) {
	id, err := reg.LookupAlias(ctx, org)
	if err != nil {
		return false, err
	}
	t, err := reg.Tenant(ctx, id)
	return err == nil && t.State == tenancy.Active, err
}

// setMoved waits for the transactions that have changed the organization's rows.
func (s *Shared) setMoved(ctx context.Context, org string, moved bool) error {
	done, err := s.Pool.Exec(ctx, "UPDATE organizations SET moved = $2 WHERE id = $1", org, moved)
	if err == nil && done.RowsAffected() == 0 {
		err = errors.New("no such organization")
	}
	return err
}

// Pool returns the pool to use for an organization, and what to call after that. Without a tenant of that alias it is
// the shared database, whose queries need WHERE org = $1 as ever.
func Pool(ctx context.Context, r *tenancy.Resolver, shared *pgxpool.Pool, org string) (
	pool *pgxpool.Pool, own bool, release func(), err error,
) {
	id, err := r.ResolveAlias(ctx, org)
	if errors.Is(err, tenancy.ErrNotFound) {
		return shared, false, func() {}, nil
	}
	if err != nil {
		return nil, false, nil, err
	}
	lease, err := r.Acquire(ctx, id)
	if err != nil {
		return nil, false, nil, err // 503 while it moves
	}
	return lease.Pool(), true, lease.Release, nil
}
