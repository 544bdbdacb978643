package provision

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

const (
	batch     = 8               // tenants claimed at once
	most      = 32              // tenants claimed and not at their end
	perServer = 2               // tenants worked on at once on one server; and as many that are undone
	workLimit = 2 * time.Minute // for one tenant; the next pass goes on where it ended
	mostDelay = 5 * time.Minute // between two tries
)

// ReconcileReport is what one pass of the reconciler did.
type ReconcileReport struct {
	Finished []tenancy.ID         // sign-ups brought to active
	Undone   []tenancy.ID         // failed sign-ups and deletions ended
	Unknown  []string             // databases with our prefix that are neither templates nor known to a row: not touched
	Missing  []tenancy.ID         // active tenants without a database: an alarm
	Stocked  []tenancy.ID         // warm databases whose keeper died: finished
	Retired  []tenancy.ID         // warm databases that nobody wants, or that could not be made: dropped
	Settled  []tenancy.ID         // suspended tenants whose database was open, active ones whose was closed: mended
	Retried  map[tenancy.ID]error // what did not work, and will be tried again

	// Reindex are the tenants whose database has indexes of another version of its collation than the server's libraries
	// have now, since a new C library or ICU came: some may be in the wrong order. Not touched: in each, REINDEX DATABASE,
	// then ALTER DATABASE … REFRESH COLLATION VERSION.
	Reindex []tenancy.ID

	UnknownRoles []string // roles with our prefix that are not known to a row, nor have a database: not touched

	// Repaired are tenants whose wall was not as it should be: privileges on the database, whether it takes connections,
	// its mark, the role's attributes, limit of connections and memberships. It is again.
	Repaired []tenancy.ID

	// NotOurs are active and suspended tenants whose database or role is, by its owner and its comment, not theirs: an
	// alarm. It is not touched.
	NotOurs []tenancy.ID

	// RoleSettings are the settings that tenants' roles have in the catalogue, 1000 of a server at most. A tenant's role
	// may make them itself, and can keep itself out with them; Suspend and Resume take them off. Those of an operator
	// belong on the database (ALTER DATABASE … SET), where the role cannot change them.
	RoleSettings []RoleSetting

	// Terminated are the sessions of tenants' roles that were ended because they held or awaited a lock on another
	// database or an exclusive one on their own, blocked the administrator in the maintenance database, or held back the
	// server's queue of notifications when it was half full.
	Terminated []TerminatedSession
}

// Reconcile does one pass over what dead or failed processes left: sign-ups are finished, or undone after
// Config.Attempts tries; failed sign-ups and deletions are ended; suspended tenants' databases are closed and active
// ones' opened; warm databases whose keeper died are finished, and those that nobody wants dropped; and databases and
// roles without a row, and rows without a database, are reported. Only what provably belongs to a tenant is ever
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

// reconcileRun is one pass under way.
type reconcileRun struct {
	p     *Provisioner
	looks bool // and does nothing

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

// work claims abandoned tenants until there are none, and none under way. What takes long, such as a DROP DATABASE that
// waits for a stopped process, keeps nobody from the others. Those whose rows cannot be read are in the error.
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
	held, release := r.p.hold(ctx, claim)
	defer release()
	slot := r.slot(lane{claim.Tenant.Server.Name, claim.Tenant.State != tenancy.Provisioning})
	select {
	case slot <- struct{}{}:
		defer func() { <-slot }()
	case <-held.Done():
		return
	}
	limited, cancel := context.WithTimeout(held, workLimit)
	defer cancel()
	err := r.serverDown(claim.Tenant.Server.Name)
	if err == nil {
		err = r.settle(limited, claim)
	}
	release()
	if err != nil {
		r.retryLater(ctx, claim, err)
	}
}

// settle does what the tenant's state asks for.
func (r *reconcileRun) settle(ctx context.Context, claim *catalog.Claim) error {
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

// serverDown says why another tenant of this pass could not connect to the server a moment ago; nil if none failed to.
func (r *reconcileRun) serverDown(name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if o, ok := r.down[name]; ok && time.Since(o.at) < connectTimeout {
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
