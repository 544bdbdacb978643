package provision

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Inspect is [Provisioner.Reconcile] without its hands: it reports what that would report, and changes nothing. Of what
// Reconcile would try to do, it names the sign-ups in ReconcileReport.Finished, failed sign-ups and deletions in
// ReconcileReport.Undone and gates in ReconcileReport.Settled; warm databases are left out. What somebody works on, or
// is to be tried again later, is not named. One thing it does do: it ends the session of a process that was stopped
// while it held the lock of a gate, as every caller does that waits for such a lock.
//
// ctx governs it. The error is of the registry, or of servers that could not be looked at; the report holds the rest.
func (p *Provisioner) Inspect(ctx context.Context) (*ReconcileReport, error) {
	r := newReconcileRun(p)
	r.looks = true
	if err := errors.Join(r.abandoned(ctx), r.survey(ctx)); err != nil {
		return &r.ReconcileReport, fmt.Errorf("provision: inspect: %w", pgerr.Redact(err))
	}
	return &r.ReconcileReport, nil
}

// abandoned lists what work would claim.
func (r *reconcileRun) abandoned(ctx context.Context) error {
	tenants, err := r.p.catalog.Abandoned(ctx, math.MaxInt32)
	for _, t := range tenants {
		if t.State == tenancy.Provisioning && t.Attempt < int64(r.p.cfg.Attempts) {
			r.Finished = append(r.Finished, t.ID)
		} else {
			r.Undone = append(r.Undone, t.ID)
		}
	}
	return err
}
