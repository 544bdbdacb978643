package provision

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Reconcile does one pass over what dead or failed processes left: sign-ups are finished, or undone after
// Config.Attempts tries; failed sign-ups and deletions are ended; suspended tenants' databases are closed and active
// ones' opened; warm databases whose maker died are finished, and those that no process asks for dropped; and databases
// and roles without a row, and rows without a database, are reported. Only what provably belongs to a tenant is ever
// dropped.
//
// Any number of passes may be under way, beside sign-ups and in other processes: each tenant is worked on by one of
// them.
//
// ctx governs the pass. One tenant or server that fails does not keep it from the others: ReconcileReport.Retried has
// the errors of tenants. The error is of the registry, or of servers that could not be looked at; the report holds what
// was done.
func (p *Provisioner) Reconcile(ctx context.Context) (*ReconcileReport, error) {
	r := newReconcileRun(p)
	err := errors.Join(r.work(ctx), r.warm(ctx), r.survey(ctx))
	if err != nil {
		return &r.ReconcileReport, fmt.Errorf("provision: reconcile: %w", pgerr.Redact(err))
	}
	return &r.ReconcileReport, nil
}

// Inspect reports what [Provisioner.Reconcile] would do, and changes no tenant. It names sign-ups in
// ReconcileReport.Finished, failed sign-ups and deletions in ReconcileReport.Undone, and accesses in
// ReconcileReport.AccessFixed; it leaves out warm databases, what a process works on, and what is to be tried again
// later.
//
// It ends the session of a process that was paused while it held the lock of an access, as every caller does that waits
// for such a lock.
//
// ctx governs it. The error is of the registry, or of servers that could not be inspected; the report holds the rest.
func (p *Provisioner) Inspect(ctx context.Context) (*ReconcileReport, error) {
	r := newReconcileRun(p)
	r.dryRun = true
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

// surveyEvery is how often all tenants are compared with all databases, by one process for all. What is found is
// reported only, so there is no hurry, and it reads every row.
const surveyEvery = time.Minute

// Run reconciles until ctx ends, and then returns nil: a pass every Interval, and at once after a Create or Drop of
// this Provisioner has failed. Beside it, it keeps Config.Warm databases ready on each server, and once a second it
// ends sessions of tenants' roles that keep others from their work, as [ReconcileReport.Terminated] says: for that it
// holds a session on each server's maintenance database. Run it in at least one process; more do no harm and share the
// work. Errors are logged.
func (p *Provisioner) Run(ctx context.Context) error {
	defer p.adminSessions.run()()
	var wg sync.WaitGroup
	wg.Go(func() { p.keepWarm(ctx) })
	wg.Go(func() { p.watch(ctx) })
	wg.Go(func() { p.repeat(ctx, nil, p.tidying()) })
	p.repeat(ctx, p.runNow, (*reconcileRun).work)
	wg.Wait()
	return nil
}

// repeat does a part of a pass until ctx ends.
func (p *Provisioner) repeat(ctx context.Context, wake <-chan struct{},
	part func(*reconcileRun, context.Context) error,
) {
	for ctx.Err() == nil {
		r := newReconcileRun(p)
		err := part(r, ctx)
		if ctx.Err() == nil {
			r.log(ctx, p, err)
		}
		p.waitNextPass(ctx, wake)
	}
}

// tidying is the part of a pass for which no caller waits: the warm databases, and now and then the survey. A drop that
// takes long there does not hold up a sign-up.
func (p *Provisioner) tidying() func(*reconcileRun, context.Context) error {
	var surveyed time.Time
	return func(r *reconcileRun, ctx context.Context) error {
		err := r.warm(ctx)
		if surveyed.IsZero() || time.Since(surveyed) > surveyEvery {
			surveyed = time.Now()
			err = errors.Join(err, r.surveyInTurn(ctx))
		}
		p.adminSessions.tidy()
		return err
	}
}

// surveyInTurn surveys if no other process has done so lately.
func (r *reconcileRun) surveyInTurn(ctx context.Context) error {
	mine, err := r.p.catalog.TryLease(ctx, "survey", surveyEvery)
	if err != nil || !mine {
		return err
	}
	return r.survey(ctx)
}
