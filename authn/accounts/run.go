package accounts

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

const (
	runInterval   = 2 * time.Second
	sweepInterval = 10 * time.Minute // of all processes together
)

// Run does what other calls have left to do, until ctx ends: it finishes changes of admins whose process died or whose
// tenant's database did not answer, sends mails, and deletes what has expired. Any number of processes may run it. It
// logs what fails, and goes on; it returns when its work under way has ended.
func (a *Accounts) Run(ctx context.Context) {
	tick := time.NewTicker(runInterval)
	defer tick.Stop()
	for {
		if err := a.work(ctx); err != nil && ctx.Err() == nil {
			a.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "accounts: work left", slog.String("error", err.Error()))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-a.wake:
		}
	}
}

// work is one pass of Run.
func (a *Accounts) work(ctx context.Context) error {
	errs := []error{a.finishAbandoned(ctx, ""), a.sendMails(ctx)}
	mine, err := a.catalog.TryLease(ctx, "sweep accounts", sweepInterval)
	if mine {
		errs = append(errs, a.catalog.SweepTokens(ctx), a.cfg.Registry.TrimEvents(ctx))
	}
	return errors.Join(append(errs, err)...)
}

// wakeUp has this process's Run begin its next pass now.
func (a *Accounts) wakeUp() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}
