package provision

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
)

// hold renews claim every third of its life until release is called. The context it returns ends with
// catalog.ErrClaimLost as its cause when another process has the claim, or might have it because the registry could
// not be reached for so long. release waits for the goroutine.
func (p *Provisioner) hold(ctx context.Context, claim *catalog.Claim) (_ context.Context, release func()) {
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
