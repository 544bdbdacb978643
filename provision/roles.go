package provision

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/internal/pglock"
)

// ensureRoles makes the roles that all tenants of a server share, and makes the administrator a member of the owner,
// without which it could neither give databases to it nor drop them. What is there already needs no CREATEROLE.
func (p *Provisioner) ensureRoles(ctx context.Context, conn *pgx.Conn) error {
	owner, group := p.names.ownerRole(), p.names.groupRole()
	if err := pglock.Outwait(ctx, conn, owner, p.patience()); err != nil {
		return err
	}
	for _, role := range []string{owner, group} {
		err := retryRaced(ctx, func() error { return createShared(ctx, conn, role) })
		if err != nil {
			return fmt.Errorf("create role %q: %w", role, pgerr.Redact(err))
		}
	}
	if err := retryRaced(ctx, func() error { return joinRole(ctx, conn, owner) }); err != nil {
		return fmt.Errorf("join role %q: %w", owner, pgerr.Redact(err))
	}
	if p.cfg.SharedRole != "" {
		if err := p.admitShared(ctx, conn); err != nil {
			return err
		}
	}
	return pglock.Unlock(ctx, conn, owner)
}

func createShared(ctx context.Context, conn *pgx.Conn, role string) error {
	var there bool
	err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", role).Scan(&there)
	if err != nil || there {
		return err
	}
	err = run(ctx, conn, "CREATE ROLE "+quote(role)+
		" NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS")
	if pgerr.IsState(err, pgerr.DuplicateObject, pgerr.UniqueViolation) {
		return nil // somebody who does not use the lock was faster
	}
	return err
}

// joinRole gives the administrator the rights of role, unless it has them already: superusers always do. From version
// 16 on, whoever makes a role is its administrator but has not its rights, and a grant must say what it gives.
func joinRole(ctx context.Context, conn *pgx.Conn, role string) error {
	var has bool
	var version int
	err := conn.QueryRow(ctx,
		"SELECT pg_has_role($1::name, 'USAGE') AND pg_has_role($1::name, 'MEMBER'), current_setting('server_version_num')::int", role,
	).Scan(&has, &version)
	if err != nil || has && version < 160000 {
		return err
	}
	if version < 160000 {
		return run(ctx, conn, "GRANT "+quote(role)+" TO CURRENT_USER")
	}
	err = conn.QueryRow(ctx, "SELECT pg_has_role($1::name, 'SET')", role).Scan(&has)
	if err != nil || has {
		return err
	}
	return run(ctx, conn, "GRANT "+quote(role)+" TO CURRENT_USER WITH INHERIT TRUE, SET TRUE")
}

// retryRaced runs f again, a few times, if another session changed the same catalogue row at the same moment.
func retryRaced(ctx context.Context, f func() error) error {
	for try := 1; ; try++ {
		err := f()
		if try == 5 || !pgerr.IsState(err, pgerr.InternalError) && !pgerr.IsState(err, pgerr.SerializationFailure) {
			return err
		}
		select {
		case <-time.After(time.Duration(try) * 20 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}
