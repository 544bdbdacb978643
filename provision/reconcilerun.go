package provision

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/internal/pgadmin"
	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

const (
	batch     = 8               // tenants claimed at once
	most      = 32              // tenants claimed and not at their end
	perServer = 2               // tenants worked on at once on one server; and as many that are undone
	workLimit = 2 * time.Minute // for one tenant; the next pass goes on where it ended
)

// reconcileRun is one pass under way.
type reconcileRun struct {
	p      *Provisioner
	dryRun bool // and does nothing

	mu    sync.Mutex // guards what follows; no I/O while it is held
	down  map[string]outage
	slots map[lane]chan struct{}
	ReconcileReport
}

// outage is what the last of a server's tenants met that could not connect to it.
type outage struct {
	err error
	at  time.Time
}

// errNotTried is what becomes of tenants of a server to which another could not connect a moment ago.
var errNotTried = errors.New("not tried: the server was down a moment ago")

// lane is where tenants of one server wait for their turn: those that are made do not wait for those that go.
type lane struct {
	server string
	going  bool
}

func newReconcileRun(p *Provisioner) *reconcileRun {
	return &reconcileRun{
		p:               p,
		down:            map[string]outage{},
		slots:           map[lane]chan struct{}{},
		ReconcileReport: ReconcileReport{Retried: map[tenancy.ID]error{}},
	}
}

// work claims abandoned tenants until there are none, and none under way. Tenants are worked on side by side: a tenant
// that takes long, such as a DROP DATABASE that waits for a stopped process, does not hold up the others. The error
// names rows that cannot be read.
func (r *reconcileRun) work(ctx context.Context) error {
	var errs []error
	ended := make(chan struct{}, most)
	running := 0
	for ctx.Err() == nil {
		claims, err := r.p.catalog.ClaimAbandoned(ctx, r.p.owner, r.p.cfg.ClaimTTL, min(batch, most-running))
		errs = append(errs, err)
		for _, c := range claims {
			running++
			go func() {
				defer func() { ended <- struct{}{} }()
				r.tenant(ctx, c)
			}()
		}
		switch {
		case len(claims) > 0 && running < most:
			continue
		case running == 0:
			return errors.Join(errs...)
		}
		select {
		case <-ended:
			running--
		case <-time.After(r.p.cfg.Interval): // others may have been abandoned
		case <-ctx.Done():
		}
	}
	for ; running > 0; running-- {
		<-ended
	}
	return errors.Join(append(errs, ctx.Err())...)
}

// tenant works on one claimed tenant. The claim is renewed while it waits for its turn on its server, too.
func (r *reconcileRun) tenant(ctx context.Context, claim *catalog.Claim) {
	claimCtx, release := r.p.renewClaim(ctx, claim)
	defer release()
	slot := r.slot(lane{claim.Tenant.Server.Name, claim.Tenant.State != tenancy.Provisioning})
	select {
	case slot <- struct{}{}:
		defer func() { <-slot }()
	case <-claimCtx.Done():
		return
	}
	limited, cancel := context.WithTimeout(claimCtx, workLimit)
	defer cancel()
	err := r.serverDown(claim.Tenant.Server.Name)
	if err == nil {
		err = r.advance(limited, claim)
	}
	release()
	if err != nil {
		r.retryLater(ctx, claim, err)
	}
}

// advance does what the tenant's state asks for.
func (r *reconcileRun) advance(ctx context.Context, claim *catalog.Claim) error {
	j := &job{p: r.p, claim: claim}
	if claim.Tenant.State != tenancy.Provisioning {
		err := j.run(ctx, j.undoing())
		if err == nil {
			r.record(&r.Undone, claim.Tenant.ID)
		}
		return err
	}
	if claim.Attempt > int64(r.p.cfg.Attempts) {
		return r.giveUp(ctx, claim, errors.New("every attempt was abandoned"))
	}
	err := j.run(ctx, j.signUp())
	switch {
	case err == nil:
		r.record(&r.Finished, claim.Tenant.ID)
		return nil
	case claim.Attempt == int64(r.p.cfg.Attempts) && ctx.Err() == nil && !errors.Is(err, catalog.ErrClaimLost):
		return r.giveUp(ctx, claim, err)
	}
	return err
}

// giveUp marks a sign-up as failed. This pass claims it again, and undoes it.
func (r *reconcileRun) giveUp(ctx context.Context, claim *catalog.Claim, reason error) error {
	return r.p.catalog.Fail(ctx, claim, shorten(reason.Error()))
}

// retryLater reports err and gives the claim up for a while.
func (r *reconcileRun) retryLater(ctx context.Context, claim *catalog.Claim, err error) {
	if errors.Is(err, catalog.ErrClaimLost) {
		return // it is another's now
	}
	r.mu.Lock()
	r.Retried[claim.Tenant.ID] = err
	skipped := errors.Is(err, errNotTried)
	if isServerDown(err) && !skipped {
		r.down[claim.Tenant.Server.Name] = outage{err, time.Now()}
	}
	r.mu.Unlock()
	if skipped && claim.Tenant.State == tenancy.Provisioning {
		r.p.giveBack(ctx, claim, r.p.delay(ctx, claim))
	} else {
		r.p.yield(ctx, claim, r.p.delay(ctx, claim))
	}
}

// serverDown says why another tenant of this pass could not connect to the server a moment ago; nil if none failed to.
func (r *reconcileRun) serverDown(name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if o, ok := r.down[name]; ok && time.Since(o.at) < pgadmin.ConnectTimeout {
		return fmt.Errorf("%w: %w", errNotTried, o.err)
	}
	return nil
}

func (r *reconcileRun) slot(l lane) chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.slots[l] == nil {
		r.slots[l] = make(chan struct{}, perServer)
	}
	return r.slots[l]
}

func (r *reconcileRun) record(list *[]tenancy.ID, id tenancy.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*list = append(*list, id)
	delete(r.Retried, id)
}

// isServerDown reports whether err, redacted or not, says that no connection came about for a reason that is the
// server's. What it refuses to one database or role shows that it is well.
func isServerDown(err error) bool {
	if !pgerr.IsConnect(err) || errors.Is(err, context.Canceled) {
		return false
	}
	code := pgerr.State(err)
	return code == "" || strings.HasPrefix(code, pgerr.ConnectionException) ||
		pgerr.IsState(err, pgerr.AdminShutdown, pgerr.CrashShutdown, pgerr.CannotConnectNow)
}
