package provision

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/internal/pgerr"
)

// renewClaim renews claim every third of its life until release is called. The context it returns ends with
// catalog.ErrClaimLost as its cause when another process has the claim, or might have it because the registry could
// not be reached for so long. release waits for the goroutine.
func (p *Provisioner) renewClaim(ctx context.Context, claim *catalog.Claim) (_ context.Context, release func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	own := *claim // Extend writes to its claim
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.renew(ctx, &own, cancel)
	}()
	return ctx, func() {
		cancel(nil)
		<-done
	}
}

func (p *Provisioner) renew(ctx context.Context, claim *catalog.Claim, lose context.CancelCauseFunc) {
	ttl := p.cfg.ClaimTTL
	expires := time.Now().Add(ttl)
	ticker := time.NewTicker(ttl / 3)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		began := time.Now()
		err := p.extend(ctx, claim)
		switch {
		case err == nil:
			expires = began.Add(ttl)
		case errors.Is(err, catalog.ErrClaimLost):
			lose(err)
			return
		case time.Until(expires) < ttl/3:
			lose(fmt.Errorf("%w: it could not be renewed", catalog.ErrClaimLost))
			return
		}
	}
}

// extend renews once, within a third of the claim's life.
func (p *Provisioner) extend(ctx context.Context, claim *catalog.Claim) error {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.ClaimTTL/3)
	defer cancel()
	return p.catalog.Extend(ctx, claim, "", p.cfg.ClaimTTL)
}

const mostDelay = 5 * time.Minute // between two tries

// delay is how long after it failed the work of claim is tried again: it doubles with every attempt.
func (p *Provisioner) delay(ctx context.Context, claim *catalog.Claim) time.Duration {
	switch {
	case ctx.Err() != nil:
		return 0 // this process stops: another may go on at once
	case claim.Attempt < 16:
		return min(p.cfg.Interval<<claim.Attempt/2, mostDelay)
	}
	return mostDelay
}

// yield gives the claim up, even if ctx has ended.
func (p *Provisioner) yield(ctx context.Context, claim *catalog.Claim, retryAfter time.Duration) {
	p.giveUpClaim(ctx, claim, retryAfter, p.catalog.ReleaseClaim)
}

// giveBack gives up a claim that was not used: a sign-up loses none of its attempts.
func (p *Provisioner) giveBack(ctx context.Context, claim *catalog.Claim, retryAfter time.Duration) {
	p.giveUpClaim(ctx, claim, retryAfter, p.catalog.ReturnUnusedClaim)
}

func (p *Provisioner) giveUpClaim(ctx context.Context, claim *catalog.Claim, retryAfter time.Duration,
	how func(context.Context, *catalog.Claim, time.Duration) error,
) {
	ctx, cancel := detached(ctx)
	defer cancel()
	err := how(ctx, claim, retryAfter)
	if err != nil && !errors.Is(err, catalog.ErrClaimLost) {
		p.logError(ctx, "give up claim", claim.Tenant.ID, err)
	}
}

// lockIdleTimeout is how long the session of a process that holds a lock may be idle before whoever waits for the lock ends
// it: the process was stopped, or its host is gone. Nothing that lives is idle for so long: it works on the session, or
// shows life there.
func (p *Provisioner) lockIdleTimeout() time.Duration { return 2 * p.cfg.ClaimTTL }

// keepAlive calls f, which works over other connections for as long as it takes, and uses conn meanwhile, so that nobody
// takes the locks of its session for those of a stopped process. If the session is lost all the same, f's context ends.
func (p *Provisioner) keepAlive(ctx context.Context, conn *pgx.Conn, f func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ended, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		beat := time.NewTicker(p.cfg.ClaimTTL / 3)
		defer beat.Stop()
		for {
			select {
			case <-beat.C:
			case <-ended:
				return
			}
			if err := ping(ctx, conn); err != nil {
				cancel(fmt.Errorf("the session that holds the lock: %w", pgerr.Redact(err)))
				return
			}
		}
	}()
	defer func() {
		close(ended)
		<-stopped
	}()
	return f(ctx)
}

// ping uses conn. The end of ctx must not close it.
func ping(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := detached(ctx)
	defer cancel()
	return conn.Ping(ctx)
}
