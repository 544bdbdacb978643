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

const examineLimit = 5 * time.Second // for the look before a suspension

// Suspend closes an active tenant, in the registry first and then in the database itself: its role can log in no more,
// its sessions are ended, and the [tenancy.OwnerTag] refuses every router. When Suspend returns nil, nothing that was not
// committed by then will be, whatever a router that missed the change may try. A tenant that is suspended already is
// looked after again. The administrator can still connect, so that [Provisioner.Upgrade] works.
//
// ctx governs all of it. If it ends in the middle, the registry's row decides: Run, or another Suspend, goes on with
// it. One that was stopped in the middle is waited for until its session has been idle for twice Config.ClaimTTL, give
// or take a half; it can do nothing more then. Suspend returns tenancy.ErrNotFound or [ErrNotOurs], and then has
// changed nothing; registry.ErrConflict for a tenant in another state; *[InUseError] if a prepared transaction of the
// role keeps its log-in from being taken; or what the server refused with.
//
// No transaction that the role leaves open keeps it from being shut: sessions that hold locks which are in the way are
// ended. The settings that the role has (ALTER ROLE … SET), whoever made them, are gone after [Provisioner.Resume],
// because a role can keep itself out with them for good; those of its database (ALTER DATABASE … SET) stay.
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
			if err := p.cfg.failpoints.Before(ctx, "shut"); err != nil {
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
// suspension and checks the mark must look the tenant up before it may enter. Otherwise it is as [Provisioner.Suspend].
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
		// Under the lock, or not at all; and if it was lost meanwhile, somebody may have shut the gate again.
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
