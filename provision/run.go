package provision

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// surveyEvery is how often all tenants are compared with all databases, by one process for all. What is found is
// reported only, so there is no hurry, and it reads every row.
const surveyEvery = time.Minute

// Run reconciles until ctx ends, and then returns nil: a pass every Interval, and at once after a Create or Drop of
// this Provisioner has failed. Beside it, it keeps Config.Warm databases ready on each server, and once a second it
// ends sessions of tenants' roles that keep others from their work, as [ReconcileReport.Terminated] says: for that it holds a
// session on each server's maintenance database. Run it in at least one process; more do no harm and share the work.
// Errors are logged.
func (p *Provisioner) Run(ctx context.Context) error {
	defer p.kept.run()()
	var wg sync.WaitGroup
	wg.Go(func() { p.keepWarm(ctx) })
	wg.Go(func() { p.watch(ctx) })
	wg.Go(func() { p.repeat(ctx, nil, p.tidying()) })
	p.repeat(ctx, p.wake, (*reconcileRun).work)
	wg.Wait()
	return nil
}

// repeat does a part of a pass until ctx ends.
func (p *Provisioner) repeat(ctx context.Context, wake <-chan struct{}, part func(*reconcileRun, context.Context) error) {
	for ctx.Err() == nil {
		r := newReconcileRun(p)
		err := part(r, ctx)
		if ctx.Err() == nil {
			r.log(ctx, err)
		}
		p.rest(ctx, wake)
	}
}

// tidying is the part of a pass that nobody waits for: the stock, and now and then the survey. A drop that takes long
// there keeps no sign-up from its end.
func (p *Provisioner) tidying() func(*reconcileRun, context.Context) error {
	var surveyed time.Time
	return func(r *reconcileRun, ctx context.Context) error {
		err := r.warm(ctx)
		if surveyed.IsZero() || time.Since(surveyed) > surveyEvery {
			surveyed = time.Now()
			err = errors.Join(err, r.surveyInTurn(ctx))
		}
		p.kept.tidy()
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

// rest waits for the next pass. Many processes that were started together drift apart.
func (p *Provisioner) rest(ctx context.Context, wake <-chan struct{}) {
	spread := rand.Int64N(int64(p.cfg.Interval)*2/5 + 1) //nolint:gosec // no secret
	timer := time.NewTimer(p.cfg.Interval*4/5 + time.Duration(spread))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-wake:
	}
}

// log writes what a pass did, if it did anything.
func (r *reconcileRun) log(ctx context.Context, err error) {
	log := r.p.cfg.Logger
	if len(r.Finished)+len(r.Undone)+len(r.Stocked)+len(r.Retired)+len(r.Retried) > 0 {
		attrs := []slog.Attr{
			slog.Int("finished", len(r.Finished)), slog.Int("undone", len(r.Undone)), slog.Int("stocked", len(r.Stocked)),
			slog.Int("retired", len(r.Retired)), slog.Int("retried", len(r.Retried)),
		}
		level := slog.LevelInfo
		if len(r.Retried) > 0 {
			level = slog.LevelWarn
			errs := make(map[tenancy.ID]string, len(r.Retried))
			for id, err := range r.Retried {
				errs[id] = pgerr.Redact(err).Error()
			}
			attrs = append(attrs, slog.Any("errors", errs))
		}
		log.LogAttrs(ctx, level, "provision: reconciled", attrs...)
	}
	if len(r.Unknown) > 0 {
		log.LogAttrs(ctx, slog.LevelWarn, "provision: unknown databases", slog.Any("databases", r.Unknown))
	}
	if len(r.UnknownRoles) > 0 {
		log.LogAttrs(ctx, slog.LevelWarn, "provision: unknown roles", slog.Any("roles", r.UnknownRoles))
	}
	if len(r.RoleSettings) > 0 {
		names := map[string]bool{}
		for _, s := range r.RoleSettings {
			names[s.Setting] = true
		}
		log.LogAttrs(ctx, slog.LevelWarn, "provision: tenants' roles have settings", slog.Int("count", len(r.RoleSettings)),
			slog.String("first role", r.RoleSettings[0].Role), slog.Any("settings", slices.Sorted(maps.Keys(names))))
	}
	r.p.logTerminated(ctx, r.Terminated)
	if err != nil {
		log.LogAttrs(ctx, slog.LevelError, "provision: reconcile", slog.String("error", pgerr.Redact(err).Error()))
	}
}
