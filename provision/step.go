package provision

import (
	"context"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Seed is what the seed function and the side effects are told of the tenant.
type Seed struct {
	Tenant       tenancy.Tenant
	Organization registry.Organization
	Admin        registry.Admin
	Data         []byte `json:"-"` // the caller's own, from Request.Data; gone once the tenant is active
}

// SideEffect is a side effect of the caller's: a billing customer, a DNS record.
//
// Do and Undo may run more than once, in different processes, for one tenant: both must be idempotent by
// SideEffectInput.Key. A process that was stopped for longer than its claim lives may even finish a Do after another
// process's Undo; a service that takes idempotency keys or lists what it has by key settles that.
//
// Undo is told no password, and no e-mail and no Data whose key is lost.
//
// The text of an error that they return is logged and stored in the registry, so it should hold no secret.
type SideEffect struct {
	Name string
	Do   func(ctx context.Context, s SideEffectInput) (result string, err error)
	Undo func(ctx context.Context, s SideEffectInput) error // s.Result is empty if Do's end is not known; nil: nothing to undo
}

// SideEffectInput is what a side effect is given.
type SideEffectInput struct {
	Seed
	Key    string // "<tenant id>/<name>": the same at every try
	Result string `json:"-"` // what Do returned, for Undo
}

// input is what the side effect of that name gets for the tenant of claim.
func input(claim *catalog.Claim, name, result string) SideEffectInput {
	return SideEffectInput{Seed: seedOf(claim), Key: string(claim.Tenant.ID) + "/" + name, Result: result}
}

func seedOf(claim *catalog.Claim) Seed {
	return Seed{
		Tenant:       claim.Tenant.Tenant,
		Organization: claim.Tenant.Organization,
		Admin:        claim.Admin,
		Data:         claim.Data,
	}
}

// callStep is the step for one of the caller's side effects: recorded as begun before, so that Undo will run whatever
// happens, and as done after, so that a second run of the engine leaves it out.
func (j *job) callStep(ctx context.Context, s SideEffect) error {
	steps, err := j.p.catalog.Steps(ctx, j.claim.Tenant.ID)
	if err != nil {
		return err
	}
	for _, known := range steps {
		if known.Name == s.Name && known.State == catalog.StepDone {
			return nil
		}
	}
	if err := j.put(ctx, s.Name, catalog.StepBegun, ""); err != nil {
		return err
	}
	result, err := s.Do(ctx, input(j.claim, s.Name, ""))
	if err != nil {
		return err
	}
	return j.put(ctx, s.Name, catalog.StepDone, result)
}

func (j *job) put(ctx context.Context, name string, state catalog.StepState, result string) error {
	return j.p.catalog.PutStep(ctx, j.claim, catalog.Step{Name: name, State: state, Result: result})
}
