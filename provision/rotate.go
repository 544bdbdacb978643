package provision

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/internal/scram"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// RotatePassword gives the role of an active or suspended tenant a new random password. Sessions go on, also those that
// were begun with a password that leaked: [Provisioner.Suspend] ends them. Routers keep their connections, and make new
// ones with the new password. A role has one password at a time, so a connection that is made between the two commits,
// or by a router that does not know yet, is refused with SQLSTATE 28P01. A [tenancy.Resolver] then asks its directory
// and tries again for a second and a half, so that no query of its fails; others must do the same. A password that the
// role gave itself is replaced too. Sessions of the role that keep its row locked are ended.
//
// ctx governs all of it. If the session is lost between the commits, the role gets what the registry has on another
// one. If the process dies there, the registry has a password that the role has not: another RotatePassword mends that.
// It returns tenancy.ErrNotFound, registry.ErrConflict for a tenant in another state, [ErrNotOurs], [ErrSharedRole], or
// what the server refused with.
func (p *Provisioner) RotatePassword(ctx context.Context, id tenancy.ID) error {
	err := p.atGate(ctx, id, func(ctx context.Context, g *gate) error {
		if p.shares(g.t.Endpoint) {
			return ErrSharedRole
		}
		return g.rotate(ctx, newPassword())
	})
	if err != nil {
		return fmt.Errorf("provision: rotate password of tenant %q: %w", string(id), pgerr.Redact(err))
	}
	return nil
}

// rotate commits in the registry while the role's change waits for its own commit, so that one round trip lies between
// the two. The registry goes first: a password that only the role had would be lost with this process.
func (g *gate) rotate(ctx context.Context, password tenancy.Secret) error {
	verifier, err := scram.Verifier(password.Reveal())
	if err != nil {
		return err
	}
	var tx pgx.Tx
	err = g.insist(ctx, func() error {
		if tx, err = g.conn.Begin(ctx); err != nil {
			return err
		}
		if _, err = tx.Exec(ctx, g.passwordSQL(verifier)); err != nil {
			return errors.Join(err, tx.Rollback(ctx))
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = g.p.cfg.failpoints.Before(ctx, "tell")
	if err == nil {
		err = g.conn.Ping(ctx) // one that was stopped, and lost its lock, must tell the registry nothing
	}
	if err == nil {
		err = g.tell(ctx, password)
	}
	ctx, cancel := detached(ctx) // what the registry has, the role must get
	defer cancel()
	if err != nil {
		return errors.Join(err, tx.Rollback(ctx))
	}
	if err = g.p.cfg.failpoints.After(ctx, "tell"); err == nil {
		err = tx.Commit(ctx)
	}
	if err != nil {
		if missed := g.makeUp(ctx); missed != nil {
			return errors.Join(err, missed)
		}
	}
	return nil
}

// makeUp gives the role the password that the registry has, whoever changed it last. The session of g is given up.
func (g *gate) makeUp(ctx context.Context) error {
	disconnect(g.conn)
	return g.p.atGate(ctx, g.t.ID, func(ctx context.Context, g *gate) error {
		t, err := g.p.cfg.Registry.Tenant(ctx, g.t.ID) // with its secrets
		if err != nil {
			return err
		}
		verifier, err := scram.Verifier(t.Endpoint.Password.Reveal())
		if err != nil {
			return err
		}
		return g.insist(ctx, func() error { return run(ctx, g.conn, g.passwordSQL(verifier)) })
	})
}

// passwordSQL has a verifier in it, which has no quote; a parameter cannot stand there.
func (g *gate) passwordSQL(verifier string) string {
	return "ALTER ROLE " + quote(g.t.Endpoint.User) + " PASSWORD '" + verifier + "'"
}

// tell writes the password to the registry. If the answer was lost on the way, the registry is asked what it has.
func (g *gate) tell(ctx context.Context, password tenancy.Secret) error {
	err := g.p.catalog.SetPassword(ctx, g.t.ID, password)
	if err == nil {
		return nil
	}
	ctx, cancel := detached(ctx)
	defer cancel()
	if t, lookErr := g.p.cfg.Registry.Tenant(ctx, g.t.ID); lookErr == nil && t.Endpoint.Password == password {
		return nil
	}
	return err
}
