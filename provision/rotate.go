package provision

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgadmin"
	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/internal/scram"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// RotatePassword gives the role of an active or suspended tenant a new random password. Sessions go on, even those that
// began with a password that leaked: [Provisioner.Suspend] ends them. Routers keep their connections, and make new ones
// with the new password. A role has one password at a time, so a connection that is made between the two commits, or by
// a router that does not know the new one yet, is refused with SQLSTATE 28P01. A [tenancy.Resolver] then asks its
// directory and tries again for a second and a half, so that no query of its fails; other clients must do the same. A
// password that the role gave itself is replaced too. RotatePassword ends sessions of the role that keep its row
// locked.
//
// ctx governs all of it. If the session is lost between the commits, the role gets the registry's password on another
// one. If the process dies there, the registry holds a password that the role does not have: another RotatePassword
// repairs that. It returns tenancy.ErrNotFound, registry.ErrConflict for a tenant in another state, [ErrNotOurs],
// [ErrSharedRole], or the server's error.
func (p *Provisioner) RotatePassword(ctx context.Context, id tenancy.ID) error {
	err := p.withAccess(ctx, id, func(ctx context.Context, a *access) error {
		if p.shares(a.t) {
			return ErrSharedRole
		}
		return a.rotate(ctx, newPassword())
	})
	if err != nil {
		return fmt.Errorf("provision: rotate password of tenant %q: %w", string(id), pgerr.Redact(err))
	}
	return nil
}

// rotate commits in the registry while the role's change waits for its own commit, so that one round trip lies between
// the two. The registry goes first: a password that only the role had would be lost with this process.
func (a *access) rotate(ctx context.Context, password tenancy.Secret) error {
	verifier, err := scram.Verifier(password.Reveal())
	if err != nil {
		return err
	}
	var tx pgx.Tx
	err = a.retryLocked(ctx, func() error {
		if tx, err = a.conn.Begin(ctx); err != nil {
			return err
		}
		if _, err = tx.Exec(ctx, a.passwordSQL(verifier)); err != nil {
			return errors.Join(err, tx.Rollback(ctx))
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = a.p.cfg.failpoints.Before(ctx, "store password")
	if err == nil {
		err = a.conn.Ping(ctx) // a paused process that lost its lock must not change the registry
	}
	if err == nil {
		err = a.storePassword(ctx, password)
	}
	ctx, cancel := detached(ctx) // what the registry has, the role must get
	defer cancel()
	if err != nil {
		return errors.Join(err, tx.Rollback(ctx))
	}
	if err = a.p.cfg.failpoints.After(ctx, "store password"); err == nil {
		err = tx.Commit(ctx)
	}
	if err != nil {
		if missed := a.syncPassword(ctx); missed != nil {
			return errors.Join(err, missed)
		}
	}
	return nil
}

// syncPassword gives the role the password that the registry has. It gives up the session of a.
func (a *access) syncPassword(ctx context.Context) error {
	pgadmin.Disconnect(a.conn)
	return a.p.withAccess(ctx, a.t.ID, func(ctx context.Context, a *access) error {
		t, err := a.p.cfg.Registry.Tenant(ctx, a.t.ID) // with its secrets
		if err != nil {
			return err
		}
		verifier, err := scram.Verifier(t.Endpoint.Password.Reveal())
		if err != nil {
			return err
		}
		return a.retryLocked(ctx, func() error { return pgadmin.Run(ctx, a.conn, a.passwordSQL(verifier)) })
	})
}

// passwordSQL has a verifier in it, which has no quote; a parameter cannot stand there.
func (a *access) passwordSQL(verifier string) string {
	return "ALTER ROLE " + pgadmin.Quote(a.t.Endpoint.User) + " PASSWORD '" + verifier + "'"
}

// storePassword writes the password to the registry. If the answer is lost, it asks the registry what it has.
func (a *access) storePassword(ctx context.Context, password tenancy.Secret) error {
	err := a.p.catalog.SetPassword(ctx, a.t.ID, password)
	if err == nil {
		return nil
	}
	ctx, cancel := detached(ctx)
	defer cancel()
	if t, lookErr := a.p.cfg.Registry.Tenant(ctx, a.t.ID); lookErr == nil && t.Endpoint.Password == password {
		return nil
	}
	return err
}

// rotateLimit is for one tenant in RotateAllPasswords.
const rotateLimit = 30 * time.Second

// RotateAllConfig configures [Provisioner.RotateAllPasswords]. The zero value is fit for use.
type RotateAllConfig struct {
	// After is the tenant after which to begin, in order of id: the Through of a call that was stopped. Default: begin
	// with the first.
	After tenancy.ID

	// Workers is how many tenants are worked on at a time. Each takes a connection to its server and one to the registry.
	// Default: 4.
	Workers int

	// Batch is how many tenants are read at a time. Default: 100.
	Batch int

	// Progress is called after each batch. It must not block. Default: none.
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

// RotateAllPasswords gives every tenant's role a new password, as [Provisioner.RotatePassword] does, a few at a time. A
// tenant that fails, or takes longer than 30 s, is in the result and does not hold up the others.
//
// ctx governs all of it. If it ends, or the registry does not answer, RotateAllPasswords returns the error and a result
// of what was done until then. To go on, pass Through as After. To begin again does no harm, nor do two calls at once.
// If the process dies between the two commits for a tenant, the registry holds a password that the role does not have.
// To repair it, call RotatePassword for that tenant, or RotateAllPasswords from the start or from the last Progress.
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

func (p *Provisioner) rotateBatch(ctx context.Context, tenants []registry.Tenant, workers int,
	result *RotateAllResult,
) {
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
		if p.shares(&t) { // costs no connection
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
