package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// undoing ends a tenant whose state already keeps everybody out. The rows go last: no name and no e-mail is free again
// before what it stood for is gone. Each phase takes "already gone" for done.
func (j *job) undoing() []phase {
	return []phase{{"drop", j.drop}, {"undo steps", j.undoSteps}, {"forget", j.forget}}
}

// drop drops the tenant's database and role. The lock makes it wait for a CREATE DATABASE that a dead process left
// running.
func (j *job) drop(ctx context.Context) error {
	conn, err := j.session(ctx)
	if err != nil {
		return err
	}
	defer j.disconnect()
	t := &j.claim.Tenant
	f, err := look(ctx, conn, t.Endpoint)
	if err != nil {
		return err
	}
	if err := j.checkOurs(ctx, f); err != nil {
		return err
	}
	role := f.role && ownsRole(f, t.ID)
	if role && f.database {
		// DROP DATABASE ends the tenant's sessions, which takes the rights of its role.
		if err := joinRole(ctx, conn, t.Endpoint.User); err != nil {
			return fmt.Errorf("join role: %w", err)
		}
	}
	if f.database && j.p.ownsDatabase(f, t.ID) {
		if err := dropDatabase(ctx, conn, t.Endpoint.Database, f); err != nil {
			return err
		}
	}
	if role {
		return dropRole(ctx, conn, t.Endpoint.User)
	}
	return nil
}

// checkOurs decides about a database that is not provably the tenant's. A sign-up that failed never had it, and is
// undone without it. An active tenant did use the database of that name, so its deletion stops here: the name must not
// become free while the database is there.
func (j *job) checkOurs(ctx context.Context, f found) error {
	t := &j.claim.Tenant
	foreign := f.database && !j.p.ownsDatabase(f, t.ID) || f.role && !ownsRole(f, t.ID)
	if !foreign {
		return nil
	}
	if t.State != tenancy.Failing {
		return ErrNotOurs
	}
	j.p.logError(ctx, "left alone", t.ID, ErrNotOurs)
	return nil
}

func dropRole(ctx context.Context, conn *pgx.Conn, role string) error {
	err := retryRaced(ctx, func() error { return run(ctx, conn, "DROP ROLE IF EXISTS "+quote(role)) })
	if err != nil {
		return fmt.Errorf("drop role: %w", err)
	}
	return nil
}

// undoSteps undoes the caller's steps, the last begun first.
func (j *job) undoSteps(ctx context.Context) error {
	steps, err := j.p.cfg.Registry.Steps(ctx, j.claim.Tenant.ID)
	if err != nil {
		return err
	}
	for _, s := range slices.Backward(steps) {
		if s.State == registry.StepUndone {
			continue
		}
		if err := j.undoStep(ctx, s); err != nil {
			return fmt.Errorf("undo step %q: %w", s.Name, err)
		}
	}
	return nil
}

func (j *job) undoStep(ctx context.Context, s registry.Step) error {
	i := slices.IndexFunc(j.p.cfg.Steps, func(c Step) bool { return c.Name == s.Name })
	if i < 0 {
		return ErrStepUnknown
	}
	if undo := j.p.cfg.Steps[i].Undo; undo != nil {
		if err := undo(ctx, input(j.claim, s.Name, s.Result)); err != nil {
			return err
		}
	}
	return j.put(ctx, s.Name, registry.StepUndone, s.Result)
}

// forget frees the tenant's names. If its answer was lost on the way, the registry is asked whether it took place.
func (j *job) forget(ctx context.Context) error {
	err := j.p.cfg.Registry.Forget(ctx, j.claim)
	if err == nil {
		return nil
	}
	ctx, cancel := detached(ctx)
	defer cancel()
	if _, lookErr := j.p.cfg.Registry.Tenant(ctx, j.claim.Tenant.ID); errors.Is(lookErr, tenancy.ErrNotFound) {
		return nil
	}
	return err
}
