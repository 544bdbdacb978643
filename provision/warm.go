package provision

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nrednav/cuid2"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// warmIdle is after what time stock of a schema that no keeper wants is dropped. While releases are replaced, those of
// the old one still want theirs.
const warmIdle = time.Minute

// making ends with a warm database: all that a sign-up has that needs to know no customer.
func (j *job) making() []phase {
	return []phase{{"warm:database", j.database}, {"warm:wall", j.wall}, {"warm:ready", j.stock}}
}

func (j *job) stock(ctx context.Context) error { return j.p.catalog.WarmReady(ctx, j.claim) }

// retiring ends a warm database that is of no more use, or could not be made.
func (j *job) retiring() []phase {
	return []phase{{"warm:drop", j.drop}, {"warm:forget", j.forgetWarm}}
}

func (j *job) forgetWarm(ctx context.Context) error { return j.p.catalog.ForgetWarm(ctx, j.claim) }

// restock makes one warm database on server, if one is wanted there, and reports whether it did.
func (p *Provisioner) restock(ctx context.Context, server string) (bool, error) {
	if err := p.catalog.WantWarm(ctx, server, p.hash); err != nil {
		return false, err
	}
	id := tenancy.ID(cuid2.Generate())
	name := p.names.tenant(id)
	role, password := p.login(name)
	claim, err := p.catalog.PlanWarm(ctx, catalog.Warm{
		ID: id, Database: name, Role: role, Password: password, Server: server, SchemaHash: p.hash,
		Most: p.cfg.Warm, Owner: p.owner, TTL: p.cfg.ClaimTTL,
	})
	if errors.Is(err, catalog.ErrNotWanted) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := p.workWarm(ctx, claim); err != nil {
		p.yield(ctx, claim, p.delay(ctx, claim))
		return false, fmt.Errorf("make warm database %q: %w", claim.Tenant.Endpoint.Database, pgerr.Redact(err))
	}
	return true, nil
}

// workWarm does what the claim's state asks for.
func (p *Provisioner) workWarm(ctx context.Context, claim *catalog.Claim) error {
	ctx, cancel := context.WithTimeout(ctx, workLimit)
	defer cancel()
	j := &job{p: p, claim: claim}
	if claim.Tenant.State == tenancy.Provisioning {
		return j.runHeld(ctx, j.making())
	}
	return j.runHeld(ctx, j.retiring())
}

// warm ends what keepers that died have left, and drops the stock that nobody wants.
func (r *reconcileRun) warm(ctx context.Context) error {
	var errs []error
	for ctx.Err() == nil {
		claims, err := r.p.catalog.ClaimWarm(ctx, catalog.WarmWork{
			Owner: r.p.owner, TTL: r.p.cfg.ClaimTTL, SchemaHash: r.p.hash, Attempts: r.p.cfg.Attempts, Idle: warmIdle,
			Limit: 1, // one after the other: nobody waits for them
		})
		errs = append(errs, err)
		if len(claims) == 0 {
			break
		}
		r.endWarm(ctx, claims[0])
	}
	return errors.Join(append(errs, ctx.Err())...)
}

func (r *reconcileRun) endWarm(ctx context.Context, claim *catalog.Claim) {
	err := r.serverDown(claim.Tenant.Server.Name)
	if err == nil {
		err = r.p.workWarm(ctx, claim)
	}
	switch {
	case err != nil:
		r.retryLater(ctx, claim, err)
	case claim.Tenant.State == tenancy.Provisioning:
		r.record(&r.Stocked, claim.Tenant.ID)
	default:
		r.record(&r.Retired, claim.Tenant.ID)
	}
}
