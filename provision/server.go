package provision

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgadmin"
	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/internal/pglock"
	"github.com/pgtenancy/pgtenancy/registry"
)

// PrepareTemplate makes the template database of the configured schema on a server, unless it is there, so that the
// first sign-up does not wait for it. It makes a template again that the server would no longer clone, because its
// collation has another version now. ctx governs all of it; processes that prepare one server at the same time build
// once. It returns registry.ErrServerNotFound, or the errors of the server and of Schema.Build.
func (p *Provisioner) PrepareTemplate(ctx context.Context, server string) error {
	err := p.prepareTemplate(ctx, server)
	if err != nil {
		return fmt.Errorf("provision: prepare template on server %q: %w", server, pgerr.Redact(err))
	}
	return nil
}

func (p *Provisioner) prepareTemplate(ctx context.Context, server string) error {
	s, err := p.cfg.Registry.Server(ctx, server)
	if err != nil {
		return err
	}
	conn, err := p.session(ctx, s)
	if err != nil {
		return err
	}
	defer pgadmin.Disconnect(conn)
	p.setReady(s.Name, false)
	return p.prepare(ctx, conn, s)
}

// prepare makes the shared roles and the template on conn's server, unless this process knows that they are there.
func (p *Provisioner) prepare(ctx context.Context, conn *pgx.Conn, server registry.Server) error {
	p.mu.Lock()
	ready := p.ready[server.Name]
	p.mu.Unlock()
	if ready {
		return nil
	}
	name := p.names.template(p.hash)
	if err := pglock.LockEvictingIdle(ctx, conn, name, p.lockIdleTimeout()); err != nil {
		return err
	}
	if err := p.ensureRoles(ctx, conn); err != nil {
		return err
	}
	if err := pgadmin.RetryRaced(ctx, func() error { return p.keepTenantsOut(ctx, conn, server) }); err != nil {
		return fmt.Errorf("keep tenants out of shared databases: %w", pgerr.Redact(err))
	}
	if err := p.ensureTemplate(ctx, conn, server, name); err != nil {
		return fmt.Errorf("template %q: %w", name, pgerr.Redact(err))
	}
	if err := pglock.Unlock(ctx, conn, name); err != nil {
		return err
	}
	p.setReady(server.Name, true)
	return nil
}

func (p *Provisioner) setReady(server string, ready bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ready[server] = ready
}

// ensureRoles makes the roles that all tenants of a server share, and makes the administrator a member of the owner,
// without which it could neither give databases to it nor drop them. What is there already needs no CREATEROLE.
func (p *Provisioner) ensureRoles(ctx context.Context, conn *pgx.Conn) error {
	owner, group := p.names.ownerRole(), p.names.groupRole()
	if err := pglock.LockEvictingIdle(ctx, conn, owner, p.lockIdleTimeout()); err != nil {
		return err
	}
	for _, role := range []string{owner, group} {
		err := pgadmin.RetryRaced(ctx, func() error { return pgadmin.CreateGroupRole(ctx, conn, role) })
		if err != nil {
			return fmt.Errorf("create role %q: %w", role, pgerr.Redact(err))
		}
	}
	if err := pgadmin.RetryRaced(ctx, func() error { return pgadmin.JoinRole(ctx, conn, owner) }); err != nil {
		return fmt.Errorf("join role %q: %w", owner, pgerr.Redact(err))
	}
	if p.cfg.SharedRole != "" {
		if err := p.admitShared(ctx, conn); err != nil {
			return err
		}
	}
	return pglock.Unlock(ctx, conn, owner)
}

// admitShared lets Config.SharedRole use what tenants use, and the administrator end its sessions. A role that no
// REVOKE would keep out of a database is refused: it would go on in those of suspended tenants.
func (p *Provisioner) admitShared(ctx context.Context, conn *pgx.Conn) error {
	role, group := p.cfg.SharedRole, p.names.groupRole()
	var usable, rules, member bool
	err := conn.QueryRow(ctx, `
		SELECT rolcanlogin AND rolinherit, rolsuper OR pg_has_role(oid, $2::name, 'MEMBER'),
		       pg_has_role(oid, $3::name, 'USAGE')
		FROM pg_roles WHERE rolname = $1`, role, p.names.ownerRole(), group).Scan(&usable, &rules, &member)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return fmt.Errorf("role %q of Config.SharedRole does not exist", role)
	case err != nil:
		return err
	case rules:
		return fmt.Errorf("role %q of Config.SharedRole is a superuser, or a member of %q", role, p.names.ownerRole())
	case !usable:
		return fmt.Errorf("role %q of Config.SharedRole must have LOGIN and INHERIT", role)
	}
	if !member {
		err = pgadmin.RetryRaced(ctx, func() error {
			return pgadmin.Run(ctx, conn, "GRANT "+pgadmin.Quote(group)+" TO "+pgadmin.Quote(role))
		})
		if err != nil {
			return fmt.Errorf("grant %q to %q: %w", group, role, pgerr.Redact(err))
		}
	}
	if err := pgadmin.RetryRaced(ctx, func() error { return pgadmin.JoinRole(ctx, conn, role) }); err != nil {
		return fmt.Errorf("join role %q: %w", role, pgerr.Redact(err))
	}
	return nil
}

// keepTenantsOut takes the right to connect to the maintenance database and to template1 from PUBLIC, to which tenants'
// roles belong like all others. Where the administrator may not do so, it logs a warning.
func (p *Provisioner) keepTenantsOut(ctx context.Context, conn *pgx.Conn, server registry.Server) error {
	rows, _ := conn.Query(ctx, `
		SELECT datname::text, pg_has_role(datdba, 'USAGE') FROM pg_database
		WHERE datname IN (current_database(), 'template1') AND EXISTS (
			SELECT FROM aclexplode(coalesce(datacl, acldefault('d', datdba)))
			WHERE grantee = 0 AND privilege_type IN ('CONNECT', 'TEMPORARY'))`)
	type database struct {
		Name string
		Ours bool // the administrator may change its privileges
	}
	open, err := pgx.CollectRows(rows, pgx.RowToStructByPos[database])
	if err != nil {
		return err
	}
	for _, d := range open {
		if !d.Ours {
			p.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "provision: tenants can connect, and it may not be revoked",
				slog.String("server", server.Name), slog.String("database", d.Name))
			continue
		}
		err := pgadmin.Run(ctx, conn, "GRANT CONNECT ON DATABASE "+pgadmin.Quote(d.Name)+" TO CURRENT_USER;"+
			"REVOKE CONNECT, TEMPORARY ON DATABASE "+pgadmin.Quote(d.Name)+" FROM PUBLIC")
		if err != nil {
			return err
		}
	}
	return nil
}
