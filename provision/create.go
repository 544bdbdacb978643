package provision

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/nrednav/cuid2"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Request is one sign-up. Every field may be zero.
type Request struct {
	ID             tenancy.ID // default: a new CUID2, or that of a warm database
	Server         string     // default: Config.Place chooses
	Organization   registry.Organization
	Aliases        []string          // other names of the tenant: see registry.Registry.AddAlias
	Labels         map[string]string // see registry.Registry.SetLabels
	Admin          registry.Admin    // default: none; else Email is required, and an empty ID is a new CUID2
	Data           []byte            `json:"-"` // for Seed and SideEffects; sealed at rest, erased by activation
	IdempotencyKey string            // default: none
	RequestHash    []byte            `json:"-"` // of what was asked for under that key

	// Progress is called when each step begins: "database", "access", "seed", "step:<name>", "activate". A sign-up
	// that takes a warm database begins with "seed". It must not block.
	Progress func(step string)
}

// Result is what a sign-up made.
type Result struct {
	Tenant       tenancy.Tenant
	Organization registry.Organization
	Admin        registry.Admin
	Warm         bool // the database was made ahead
	Replayed     bool // the idempotency key was known: nothing was made now
}

// Create makes a tenant: the intent in the registry, the database, the access to it, the seed, the caller's side
// effects, and activation, which is the only commit point.
//
// ctx governs all of it. When it ends, or a step fails or panics, the sign-up is marked as failed, and Run undoes it,
// in this process or another. When Create returns nil, the tenant is durable and usable. When it returns an error, the
// sign-up leaves nothing, or an active tenant if only the answer was lost; an IdempotencyKey tells which.
//
// It returns registry.ErrEmailTaken, ErrEmailBusy, ErrIDTaken, ErrAliasTaken, ErrNoServer and ErrKeyReused,
// tenancy.ErrInvalidID, [ErrFailedBefore], [ErrNotOurs], *[PanicError], or the error of Seed or of a side effect. If
// the idempotency key is known, Create waits for the earlier sign-up as long as ctx allows; if the end of its ctx or
// an error of status 503 broke that off, this call makes the tenant. If another sign-up or a deletion has the e-mail,
// Create waits a few seconds.
func (p *Provisioner) Create(ctx context.Context, req Request) (*Result, error) {
	own := req.ID != ""
	if !own {
		req.ID = tenancy.ID(cuid2.Generate())
	}
	req.ID = tenancy.ID(strings.Clone(string(req.ID))) // the Observer and the Logger may keep it; Reserve copies the rest
	if req.Admin != (registry.Admin{}) && req.Admin.ID == "" {
		req.Admin.ID = cuid2.Generate()
	}
	result, err := p.createOnce(ctx, &req, own)
	if !own {
		signal(p.taken)
	}
	if err != nil {
		return nil, fmt.Errorf("provision: create tenant %q: %w", string(req.ID), pgerr.Redact(err))
	}
	return result, nil
}

// createOnce tries again until no other sign-up or deletion has the e-mail, and waits for the sign-up of a known key.
func (p *Provisioner) createOnce(ctx context.Context, req *Request, own bool) (*Result, error) {
	deadline := time.Now().Add(emailWait)
	for pause := 50 * time.Millisecond; ; pause = min(pause*3/2, 500*time.Millisecond) {
		began := time.Now()
		var claim *catalog.Claim
		err := guard(func() (err error) { claim, err = p.reserve(ctx, *req, !own); return err })
		if err == nil {
			req.ID = claim.Tenant.ID // a warm database's, perhaps
			return p.create(ctx, &job{p: p, claim: claim, reserved: began, progress: req.Progress})
		}
		replay, known := errors.AsType[*catalog.ReplayError](err)
		switch {
		case known && replay.State == tenancy.Failing:
			return nil, ErrFailedBefore
		case known:
			result, err := p.replay(ctx, replay.TenantID, req.Admin.Email)
			if !errors.Is(err, ErrFailedBefore) {
				return result, err
			} // its key says by now whether it was broken off
		case !errors.Is(err, registry.ErrEmailBusy) || !time.Now().Add(pause).Before(deadline):
			return nil, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for another sign-up: %w", ctx.Err())
		}
	}
}

// emailWait bounds the wait for another sign-up or deletion that has the e-mail.
const emailWait = 3 * time.Second

// create does what comes after the intent.
func (p *Provisioner) create(ctx context.Context, j *job) (*Result, error) {
	err := j.runWithClaim(ctx, j.signUp())
	if err == nil {
		return p.made(ctx, j.claim)
	}
	if failErr := p.fail(ctx, j.claim, err); errors.Is(failErr, catalog.ErrClaimLost) && ctx.Err() == nil {
		return p.outcome(ctx, j.claim) // another process took over
	}
	return nil, err
}

// reserve writes the intent. If mayTake is set, it takes a warm database, and with it another id.
func (p *Provisioner) reserve(ctx context.Context, req Request, mayTake bool) (*catalog.Claim, error) {
	name := p.names.tenant(req.ID)
	if !req.ID.Valid() || len(name) > maxName {
		return nil, tenancy.ErrInvalidID
	}
	role, password := p.login(name)
	var warm *catalog.WarmChoice
	if mayTake {
		warm = &catalog.WarmChoice{Prefer: p.warmConns.ids(""), Step: "seed"}
	}
	return p.intend(ctx, catalog.Reservation{
		ID:             req.ID,
		Database:       name,
		Role:           role,
		Password:       password,
		SchemaHash:     p.hash,
		Server:         req.Server,
		Place:          p.cfg.Place,
		Organization:   req.Organization,
		Aliases:        req.Aliases,
		Labels:         req.Labels,
		Admin:          req.Admin,
		Data:           req.Data,
		Step:           "database",
		Warm:           warm,
		IdempotencyKey: req.IdempotencyKey,
		RequestHash:    req.RequestHash,
		Owner:          p.owner,
		TTL:            p.cfg.ClaimTTL,
	})
}

// intend does the step of the intent. There is no claim before it. A refused intent is not a step of a sign-up: it is
// neither counted nor logged.
func (p *Provisioner) intend(ctx context.Context, res catalog.Reservation) (*catalog.Claim, error) {
	const step = "intent"
	start, observer := time.Now(), &p.cfg.Observer
	if observer.StepStarted != nil {
		observer.StepStarted(res.ID, step)
	}
	var claim *catalog.Claim
	err := p.cfg.failpoints.Before(ctx, step)
	if err == nil {
		claim, err = p.catalog.Reserve(ctx, res)
	}
	took, id := time.Since(start), res.ID
	if err == nil {
		id = claim.Tenant.ID
		p.ended(ctx, claim, step, took, nil)
	}
	if observer.StepEnded != nil {
		observer.StepEnded(id, step, took, pgerr.Redact(err))
	}
	if err != nil {
		return nil, fmt.Errorf("reserve: %w", err)
	}
	return claim, p.cfg.failpoints.After(ctx, step)
}

// newPassword is 256 random bits in 43 letters, digits, "-" and "_".
func newPassword() tenancy.Secret {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	return tenancy.NewSecret(base64.RawURLEncoding.EncodeToString(secret))
}

// isUnavailable reports whether err asks the caller to try again later.
func isUnavailable(err error) bool {
	var own interface{ HTTPStatus() int }
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &own) && own.HTTPStatus() == 503
}

// fail marks the sign-up as failed, or as broken off, and leaves the rest to the reconciler. If the registry cannot be
// reached either, the claim expires, and the reconciler tries the sign-up again.
func (p *Provisioner) fail(ctx context.Context, claim *catalog.Claim, reason error) error {
	again := ctx.Err() != nil || isUnavailable(reason)
	ctx, cancel := detached(ctx)
	defer cancel()
	err := p.cfg.failpoints.Before(ctx, "fail")
	if err == nil {
		mark := p.catalog.Fail
		if again {
			mark = p.catalog.Abort
		}
		err = mark(ctx, claim, shorten(reason.Error()))
	}
	if err == nil {
		err = p.cfg.failpoints.After(ctx, "fail")
	}
	if err != nil {
		p.logError(ctx, "mark sign-up as failed", claim.Tenant.ID, err)
	}
	signal(p.runNow)
	return err
}

// shorten keeps a long error from filling the registry, and bytes out of it that PostgreSQL does not take.
func shorten(reason string) string {
	const most = 500
	reason = reason[:min(len(reason), most)]
	return strings.ToValidUTF8(strings.ReplaceAll(reason, "\x00", ""), "")
}

// made is what the sign-up has made. The tenant is read back only if a step may have changed it since the intent.
func (p *Provisioner) made(ctx context.Context, claim *catalog.Claim) (*Result, error) {
	if len(p.cfg.SideEffects) == 0 {
		return result(&claim.Tenant, claim), nil
	}
	ctx, cancel := detached(ctx)
	defer cancel()
	t, err := p.readBack(ctx, claim.Tenant.ID)
	if err != nil {
		return nil, err
	}
	return result(t, claim), nil
}

// outcome waits for the end of the sign-up of claim, in any process, and returns what it made.
func (p *Provisioner) outcome(ctx context.Context, claim *catalog.Claim) (*Result, error) {
	t, err := p.await(ctx, claim.Tenant.ID)
	if err != nil {
		return nil, err
	}
	return result(t, claim), nil
}

func result(t *registry.Tenant, claim *catalog.Claim) *Result {
	return &Result{Tenant: t.Tenant, Organization: t.Organization, Admin: claim.Admin, Warm: claim.Warm}
}

func (j *job) signUp() []step {
	if j.claim.Tenant.Adopted {
		return []step{{"adopt", j.adopt}, {"activate", j.activate}}
	}
	steps := []step{{"database", j.database}, {"access", j.access}, {"seed", j.seed}}
	if j.claim.Warm {
		steps = steps[2:]
	}
	for _, s := range j.p.cfg.SideEffects {
		steps = append(steps, step{"step:" + s.Name, func(ctx context.Context) error { return j.doSideEffect(ctx, s) }})
	}
	return append(steps, step{"activate", j.activate})
}

// await waits for the end of the sign-up of id, in any process.
func (p *Provisioner) await(ctx context.Context, id tenancy.ID) (*registry.Tenant, error) {
	const least, most = 20 * time.Millisecond, time.Second
	for wait := least; ; wait = min(wait*3/2, most) {
		t, err := p.cfg.Registry.Tenant(ctx, id)
		switch {
		case errors.Is(err, tenancy.ErrNotFound), err == nil && t.State == tenancy.Failing:
			return nil, ErrFailedBefore
		case err != nil:
			return nil, fmt.Errorf("wait for the sign-up: %w", err)
		case t.State != tenancy.Provisioning:
			return t, nil
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the sign-up: %w", ctx.Err())
		}
	}
}

// replay is the answer to a request whose idempotency key is known.
func (p *Provisioner) replay(ctx context.Context, id tenancy.ID, email registry.Email) (*Result, error) {
	t, err := p.await(ctx, id)
	if err != nil {
		return nil, err
	}
	result := &Result{Tenant: t.Tenant, Organization: t.Organization, Replayed: true}
	if email.IsZero() {
		return result, nil
	}
	members, err := p.cfg.Registry.TenantsByEmail(ctx, email)
	if err != nil {
		return nil, fmt.Errorf("find admin: %w", pgerr.Redact(err))
	}
	for _, m := range members {
		if m.TenantID == id {
			if result.Admin, err = p.cfg.Registry.Admin(ctx, m.AdminID); err != nil {
				return nil, fmt.Errorf("read admin: %w", pgerr.Redact(err))
			}
		}
	}
	return result, nil
}

// login returns the role of a new tenant whose names are name, and the role's password. The shared role's is the
// resolvers' to know.
func (p *Provisioner) login(name string) (role string, password tenancy.Secret) {
	if p.cfg.SharedRole != "" {
		return p.cfg.SharedRole, tenancy.Secret{}
	}
	return name, newPassword()
}

// Format implements [fmt.Formatter]: a request shows its tenant's id.
func (r Request) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, r.text()) }

// LogValue implements [slog.LogValuer].
func (r Request) LogValue() slog.Value { return slog.StringValue(r.text()) }

func (r Request) text() string { return fmt.Sprintf("request of tenant %q", string(r.ID)) }
