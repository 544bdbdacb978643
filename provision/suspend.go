package provision

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

const examineLimit = 5 * time.Second // for the check before a suspension

// Suspend closes an active tenant, in the registry first and then in the database: its role loses its log-in, its
// sessions are ended, and the [tenancy.OwnerTag] refuses every router. When Suspend returns nil, nothing that was not
// committed by then will be, not even by a router that missed the change. Suspending a suspended tenant closes it
// again. The administrator can still connect, so that [Provisioner.Upgrade] works.
//
// ctx governs all of it. If it ends in the middle, the registry's row decides: Run, or another Suspend, completes it.
// If the process that holds the lock is paused, Suspend waits until its session has been idle for two to three times
// Config.ClaimTTL, and then terminates it. Suspend returns tenancy.ErrNotFound or [ErrNotOurs], and then has changed
// nothing; registry.ErrConflict for a tenant in another state; *[InUseError] if a prepared transaction of the role
// keeps its log-in from being taken; or the server's error.
//
// An open transaction of the role does not stop Suspend: it ends the sessions that hold the locks it needs. The
// settings of the role (ALTER ROLE … SET) are gone after [Provisioner.Resume], because a role can lock itself out with
// them. Those of its database (ALTER DATABASE … SET) stay.
func (p *Provisioner) Suspend(ctx context.Context, id tenancy.ID) error {
	err := p.mayShut(ctx, id)
	if err == nil {
		err = p.catalog.Suspend(ctx, id)
	}
	if err == nil {
		err = p.withAccess(ctx, id, func(ctx context.Context, a *access) error {
			if a.t.State != tenancy.Suspended { // resumed or deleted meanwhile
				return conflict(a.t)
			}
			if err := p.cfg.failpoints.Before(ctx, "close"); err != nil {
				return err
			}
			return a.close(ctx)
		})
	}
	if err != nil {
		return fmt.Errorf("provision: suspend tenant %q: %w", string(id), pgerr.Redact(err))
	}
	return nil
}

// mayShut returns [ErrNotOurs] or tenancy.ErrNotFound if Suspend could only change the row. A server that does not say
// is no reason to let routers go on.
func (p *Provisioner) mayShut(ctx context.Context, id tenancy.ID) error {
	limited, cancel := context.WithTimeout(ctx, examineLimit)
	defer cancel()
	err := p.examine(limited, id, func(_ context.Context, _ *pgx.Conn, f catalogState, t *registry.Tenant) error {
		if !p.ownsBoth(f, t) {
			return ErrNotOurs
		}
		return nil
	})
	if errors.Is(err, ErrNotOurs) || errors.Is(err, tenancy.ErrNotFound) {
		return err
	}
	return ctx.Err()
}

// Resume opens a suspended tenant again, in the database first and then in the registry. A router that missed the
// suspension and checks the owner tag must look the tenant up before it may enter. Otherwise it is as
// [Provisioner.Suspend].
func (p *Provisioner) Resume(ctx context.Context, id tenancy.ID) error {
	err := p.withAccess(ctx, id, func(ctx context.Context, a *access) error {
		if a.t.State != tenancy.Suspended && a.t.State != tenancy.Active {
			return conflict(a.t)
		}
		if a.state().closing {
			if err := a.open(ctx); err != nil {
				return err
			}
		}
		// Under the lock, or not at all: if the lock was lost, another process may have closed the access again.
		if err := a.conn.Ping(ctx); err != nil {
			return err
		}
		return errors.Join(p.catalog.Resume(ctx, id), a.conn.Ping(ctx))
	})
	if err != nil {
		return fmt.Errorf("provision: resume tenant %q: %w", string(id), pgerr.Redact(err))
	}
	return nil
}

func conflict(t *registry.Tenant) error {
	return fmt.Errorf("%w: tenant %q is %s", registry.ErrConflict, t.ID, t.State)
}
