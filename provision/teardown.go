package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/internal/pgadmin"
	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Drop deletes an active or suspended tenant and all it has. It closes the tenant at once, ends its sessions, drops its
// database and role, undoes the caller's side effects, and at last frees its names and e-mails. The id is never given
// out again.
//
// ctx governs all of it. Once the tenant is marked, Drop cannot be taken back: if ctx ends or a step fails in the
// middle, Run completes it, in this process or another. It returns tenancy.ErrNotFound, [ErrNotOurs], *[InUseError] if
// PostgreSQL would refuse to drop the database, or the error of a server that did not answer, and then has changed
// nothing; registry.ErrConflict for a tenant in another state; or the error of the server or of a side effect's Undo. A
// database that comes to be in use after that check stays open to the administrator until it is not.
func (p *Provisioner) Drop(ctx context.Context, id tenancy.ID) error {
	if err := p.drop(ctx, id); err != nil {
		return fmt.Errorf("provision: drop tenant %q: %w", string(id), pgerr.Redact(err))
	}
	return nil
}

func (p *Provisioner) drop(ctx context.Context, id tenancy.ID) error {
	if err := p.cfg.failpoints.Before(ctx, "delete"); err != nil {
		return err
	}
	err := p.examine(ctx, id, func(ctx context.Context, conn *pgx.Conn, _ catalogState, t *registry.Tenant) error {
		return checkUnused(ctx, conn, t.Endpoint.Database)
	})
	if err != nil {
		return err
	}
	claim, err := p.catalog.BeginDelete(ctx, id, p.owner, p.cfg.ClaimTTL)
	if err != nil {
		return err
	}
	if err := p.cfg.failpoints.After(ctx, "delete"); err != nil {
		return err
	}
	return p.undo(ctx, claim)
}

// undoing ends a tenant whose state already keeps everybody out. The rows go last: no name and no e-mail is free again
// before what it stood for is gone. Each step takes "already gone" for done.
func (j *job) undoing() []step {
	if j.claim.KeepDatabase {
		return []step{{"release", j.release}, {"undo steps", j.undoSideEffects}, {"forget", j.forget}}
	}
	return []step{{"drop", j.drop}, {"undo steps", j.undoSideEffects}, {"forget", j.forget}}
}

// drop drops the tenant's database, and its role if it has one of its own. The lock of the name makes it wait for a
// CREATE DATABASE that a dead process left running.
func (j *job) drop(ctx context.Context) error {
	conn, err := j.session(ctx)
	if err != nil {
		return err
	}
	defer j.disconnect()
	if err := pgadmin.Run(ctx, conn, "SET lock_timeout = '"+lockTimeout+"'"); err != nil { // for the rest of the session
		return err
	}
	t := &j.claim.Tenant
	f, err := inspectTenant(ctx, conn, t.Endpoint)
	if err != nil {
		return err
	}
	if err := j.checkOurs(ctx, f); err != nil {
		return err
	}
	role := f.role && !j.p.foreignRole(f, t)
	if role {
		// DROP DATABASE ends the tenant's sessions, which takes the rights of its role; so does DROP OWNED.
		if err := pgadmin.JoinRole(ctx, conn, t.Endpoint.User); err != nil {
			return fmt.Errorf("join role: %w", pgerr.Redact(err))
		}
	}
	if f.database && j.p.ownsDatabase(f, t) {
		if t.Adopted { // only a member of its owner may drop it
			if err := pgadmin.JoinRole(ctx, conn, f.owner); err != nil {
				return fmt.Errorf("join the owner: %w", pgerr.Redact(err))
			}
		}
		if err := j.keepOut(ctx, conn, f); err != nil {
			return err
		}
		if err := j.dropDatabase(ctx, conn, f); err != nil {
			return err
		}
	}
	switch {
	case !role || j.p.shares(t):
		return nil
	case j.p.keepsRole(t):
		return j.releaseRole(ctx, conn, f)
	}
	return j.dropRole(ctx, conn)
}

// keepOut takes the right to connect from the tenant's role before anything else. It leaves the database open to the
// administrator if something in it keeps it from being dropped, which only the administrator can end.
func (j *job) keepOut(ctx context.Context, conn *pgx.Conn, f catalogState) error {
	e := j.claim.Tenant.Endpoint
	sql := "REVOKE ALL ON DATABASE " + pgadmin.Quote(e.Database) + " FROM PUBLIC"
	if f.role {
		sql += ", " + pgadmin.Quote(e.User)
	}
	err := j.p.retryLocked(ctx, conn, &j.claim.Tenant, func() error {
		return pgadmin.RetryRaced(ctx, func() error { return pgadmin.Run(ctx, conn, sql) })
	})
	if err != nil {
		return fmt.Errorf("keep the role out: %w", err)
	}
	return checkUnused(ctx, conn, e.Database)
}

// dropDatabase drops the tenant's database. If the database comes to be in use in the last moment, dropDatabase opens
// it again: what uses it can only be ended in it.
func (j *job) dropDatabase(ctx context.Context, conn *pgx.Conn, f catalogState) error {
	if err := j.p.cfg.failpoints.Before(ctx, "drop database"); err != nil {
		return err
	}
	name := j.claim.Tenant.Endpoint.Database
	var err error
	if f.database && !f.broken {
		err = j.p.retryLocked(ctx, conn, &j.claim.Tenant, func() error { return pgadmin.CloseDatabase(ctx, conn, name) })
	}
	if err == nil { // on its own: a DROP that a lock interrupted leaves a database that must not be closed again
		err = j.p.retryLocked(ctx, conn, &j.claim.Tenant, func() error { return pgadmin.DropDatabase(ctx, conn, name) })
	}
	if pgerr.IsState(err, pgerr.ObjectInUse) {
		return errors.Join(err, pgadmin.Run(ctx, conn, "ALTER DATABASE "+pgadmin.Quote(name)+" WITH ALLOW_CONNECTIONS true"))
	}
	if err != nil {
		return err
	}
	return j.p.cfg.failpoints.After(ctx, "drop database")
}

// checkOurs decides about a database that is not provably the tenant's. A failed sign-up never had it, and is undone
// without it. An active tenant did use the database of that name, so its deletion stops here: the name must not become
// free while the database is there.
func (j *job) checkOurs(ctx context.Context, f catalogState) error {
	t := &j.claim.Tenant
	foreign := j.p.foreign(f, t)
	if !foreign {
		return nil
	}
	if t.State != tenancy.Failing {
		return ErrNotOurs
	}
	j.p.logError(ctx, "left alone", t.ID, ErrNotOurs)
	return nil
}

// dropRole drops the tenant's role. PostgreSQL refuses to while it has anything in another database, where it has no
// business; that goes first then.
func (j *job) dropRole(ctx context.Context, conn *pgx.Conn) error {
	role := j.claim.Tenant.Endpoint.User
	drop := func() error {
		return j.p.retryLocked(ctx, conn, &j.claim.Tenant, func() error {
			return pgadmin.Run(ctx, conn, "DROP ROLE IF EXISTS "+pgadmin.Quote(role))
		})
	}
	err := pgadmin.RetryRaced(ctx, drop)
	if pgerr.IsState(err, pgerr.DependentObjects) {
		if err := j.dropOwned(ctx, conn, role); err != nil {
			return err
		}
		err = pgadmin.RetryRaced(ctx, drop)
	}
	if err != nil {
		return fmt.Errorf("drop role: %w", pgerr.Redact(err))
	}
	return nil
}

// dropOwned drops what role owns in the databases of the server, and its privileges there. Those on the databases
// themselves go with the maintenance database's.
func (j *job) dropOwned(ctx context.Context, conn *pgx.Conn, role string) error {
	rows, _ := conn.Query(ctx, `
		SELECT datname::text FROM pg_database
		WHERE datname = current_database() OR oid IN (
			SELECT s.dbid FROM pg_shdepend s JOIN pg_roles r ON r.oid = s.refobjid
			WHERE s.refclassid = 'pg_authid'::regclass AND r.rolname = $1)`, role)
	databases, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, name := range databases {
		if err := j.dropOwnedIn(ctx, name, role); err != nil {
			return fmt.Errorf("drop what the role owns in database %q: %w", name, pgerr.Redact(err))
		}
	}
	return nil
}

func (j *job) dropOwnedIn(ctx context.Context, database, role string) error {
	conn, err := j.p.sessionIn(ctx, j.claim.Tenant.Server, database)
	if err != nil {
		return err
	}
	defer pgadmin.Disconnect(conn)
	return pgadmin.RetryRaced(ctx, func() error { return pgadmin.Run(ctx, conn, "DROP OWNED BY "+pgadmin.Quote(role)) })
}

// undoSideEffects undoes the caller's side effects, the last begun first.
func (j *job) undoSideEffects(ctx context.Context) error {
	steps, err := j.p.catalog.Steps(ctx, j.claim.Tenant.ID)
	if err != nil {
		return err
	}
	for _, s := range slices.Backward(steps) {
		if s.State == catalog.StepUndone {
			continue
		}
		if err := j.undoSideEffect(ctx, s); err != nil {
			return fmt.Errorf("undo side effect %q: %w", s.Name, pgerr.Redact(err))
		}
	}
	return nil
}

func (j *job) undoSideEffect(ctx context.Context, s catalog.Step) error {
	i := slices.IndexFunc(j.p.cfg.SideEffects, func(c SideEffect) bool { return c.Name == s.Name })
	if i < 0 {
		return ErrSideEffectUnknown
	}
	if undo := j.p.cfg.SideEffects[i].Undo; undo != nil {
		if err := undo(ctx, sideEffectInput(j.claim, s.Name, s.Result)); err != nil {
			return err
		}
	}
	return j.recordSideEffect(ctx, s.Name, catalog.StepUndone, s.Result)
}

// forget frees the tenant's names. If its answer is lost, forget asks the registry whether the tenant is gone.
func (j *job) forget(ctx context.Context) error {
	err := j.p.catalog.Forget(ctx, j.claim)
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
