package provision

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// rotateLimit is for one tenant in RotateAllPasswords: one that cannot be changed keeps no worker from the others.
const rotateLimit = 30 * time.Second

// RotateAllConfig configures [Provisioner.RotateAllPasswords]. The zero value is fit for use.
type RotateAllConfig struct {
	// After is the tenant to begin behind, in order of id: the Through of a call that was stopped. Default: with the
	// first.
	After tenancy.ID

	// Workers is how many tenants are worked on at a time. Each takes a connection to its server and one to the registry.
	// Default: 4.
	Workers int

	// Batch is how many tenants are read at a time. Default: 100.
	Batch int

	// Progress is told after each batch. It must not block. Default: nobody is.
	Progress func(RotateAllProgress)
}

// RotateAllProgress is how far a rotation has come. The counts are of this call.
type RotateAllProgress struct {
	Through tenancy.ID // no tenant up to this one, in order of id, is left to be looked at
	Rotated int        // tenants that have a new password
	Skipped int        // that use Config.SharedRole, or come or go: a new tenant has a new password anyway
	Failed  int
}

// RotateAllResult is what [Provisioner.RotateAllPasswords] did.
type RotateAllResult struct {
	RotateAllProgress
	Errors map[tenancy.ID]error // of those that Failed, as RotatePassword returns them
}

// RotateAllPasswords gives every tenant's role a new password, as [Provisioner.RotatePassword] does, a few at a time. What
// fails for one tenant, or is not done within 30 s, is in the result and keeps no other from its turn.
//
// ctx governs all of it. If it ends, or the registry does not answer, the error says so beside a result of what was
// done until then. To go on, pass Through as After; to begin again does no harm, and neither do two calls at once. A
// process that dies in the middle of one tenant may leave the registry with a password that the role has not yet: see
// RotatePassword, which mends that, as this does when it begins again or goes on from the last Progress.
func (p *Provisioner) RotateAllPasswords(ctx context.Context, cfg RotateAllConfig) (*RotateAllResult, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg.Workers, cfg.Batch = cmp.Or(cfg.Workers, 4), cmp.Or(cfg.Batch, 100)
	result := &RotateAllResult{Errors: map[tenancy.ID]error{}}
	result.Through = cfg.After
	for {
		tenants, err := p.cfg.Registry.Tenants(ctx, result.Through, cfg.Batch)
		if err != nil && len(tenants) == 0 { // else a value of a tenant's does not open: its own turn tells
			return result, fmt.Errorf("provision: rotate passwords: %w", pgerr.Redact(err))
		}
		p.rotateBatch(ctx, tenants, cfg.Workers, result)
		if err := ctx.Err(); err != nil {
			return result, fmt.Errorf("provision: rotate passwords: %w", err)
		}
		if len(tenants) > 0 {
			result.Through = tenants[len(tenants)-1].ID
		}
		if cfg.Progress != nil {
			cfg.Progress(result.RotateAllProgress)
		}
		if len(tenants) < cfg.Batch {
			return result, nil
		}
	}
}

func (c RotateAllConfig) validate() error {
	var errs []error
	if c.Workers < 0 {
		errs = append(errs, errors.New("provision: RotateAllConfig.Workers: must not be negative"))
	}
	if c.Batch < 0 {
		errs = append(errs, errors.New("provision: RotateAllConfig.Batch: must not be negative"))
	}
	return errors.Join(errs...)
}

func (p *Provisioner) rotateBatch(ctx context.Context, tenants []registry.Tenant, workers int, result *RotateAllResult) {
	var mu sync.Mutex // guards result
	var wg sync.WaitGroup
	turns := make(chan tenancy.ID)
	for range min(workers, len(tenants)) {
		wg.Go(func() {
			for id := range turns {
				limited, cancel := context.WithTimeout(ctx, rotateLimit)
				err := p.RotatePassword(limited, id)
				cancel()
				mu.Lock()
				result.count(id, err)
				mu.Unlock()
			}
		})
	}
	for _, t := range tenants {
		if ctx.Err() != nil {
			break
		}
		if p.shares(t.Endpoint) { // costs no connection
			mu.Lock()
			result.count(t.ID, ErrSharedRole)
			mu.Unlock()
			continue
		}
		turns <- t.ID
	}
	close(turns)
	wg.Wait()
}

func (r *RotateAllResult) count(id tenancy.ID, err error) {
	switch {
	case err == nil:
		r.Rotated++
	case errors.Is(err, registry.ErrConflict), errors.Is(err, tenancy.ErrNotFound), errors.Is(err, ErrSharedRole):
		r.Skipped++
	default:
		r.Failed++
		r.Errors[id] = err
	}
}
