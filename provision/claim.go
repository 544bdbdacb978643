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

// renewClaim extends claim every third of its life until release is called. It cancels the returned context, with
// catalog.ErrClaimLost as the cause, when another process has the claim, or could have it because the registry did not
// answer for so long. release waits for the goroutine.
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

// delay is the pause before the next try of a claim that failed. It doubles with every attempt.
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

// lockIdleTimeout is how long the session that holds a lock may be idle before a waiter terminates it: its process was
// paused, or its host is gone. A live holder works on the session or pings it more often.
func (p *Provisioner) lockIdleTimeout() time.Duration { return 2 * p.cfg.ClaimTTL }

// keepAlive calls f, which works on other connections, and pings conn meanwhile, so that waiters for the locks of conn
// do not take it for the session of a paused process. If conn is lost, it cancels the context of f.
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

// ping pings conn. The end of ctx does not close conn.
func ping(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := detached(ctx)
	defer cancel()
	return conn.Ping(ctx)
}
