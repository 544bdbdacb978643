package provision

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Drop deletes an active or suspended tenant and everything it has: it is closed to everybody at once, its sessions are
// ended, its database and role dropped, the caller's side effects undone, and at last its names and e-mails set free. The id
// is never given out again.
//
// ctx governs all of it. Once the tenant is marked, the deletion comes to its end: if ctx ends or a step fails in the
// middle, Run goes on with it in any process that lives. It returns tenancy.ErrNotFound, [ErrNotOurs], *[InUseError] if
// PostgreSQL would refuse to drop the database, or that the server could not be asked, and then has changed nothing;
// registry.ErrConflict for a tenant in another state; or what the server or a side effect's Undo refused with. A database that
// comes to be in use after that look stays open to the administrator until it is not.
func (p *Provisioner) Drop(ctx context.Context, id tenancy.ID) error {
	if err := p.drop(ctx, id); err != nil {
		return fmt.Errorf("provision: drop tenant %q: %w", string(id), pgerr.Redact(err))
	}
	return nil
}

func (p *Provisioner) drop(ctx context.Context, id tenancy.ID) error {
	if err := p.cfg.failpoints.Before(ctx, "delete"); err != nil {
		return err
	}
	err := p.examine(ctx, id, func(ctx context.Context, conn *pgx.Conn, _ found, t *registry.Tenant) error {
		return checkUnused(ctx, conn, t.Endpoint.Database)
	})
	if err != nil {
		return err
	}
	claim, err := p.catalog.BeginDelete(ctx, id, p.owner, p.cfg.ClaimTTL)
	if err != nil {
		return err
	}
	if err := p.cfg.failpoints.After(ctx, "delete"); err != nil {
		return err
	}
	j := &job{p: p, claim: claim}
	if err := j.runHeld(ctx, j.undoing()); err != nil {
		p.yield(ctx, claim, 0)
		wakeUp(p.wake)
		return err
	}
	return nil
}
