package provision

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/internal/pglock"
	"github.com/pgtenancy/pgtenancy/registry"
)

// PrepareTemplate makes the template database of the configured schema on a server, if it is not there yet, so that
// the first sign-up need not. ctx governs all of it; processes that prepare one server at the same time build once. It
// returns registry.ErrServerNotFound, or the errors of the server and of Schema.Build.
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
	defer disconnect(conn)
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
	if err := pglock.Outwait(ctx, conn, name, p.patience()); err != nil {
		return err
	}
	if err := p.ensureRoles(ctx, conn); err != nil {
		return err
	}
	if err := retryRaced(ctx, func() error { return p.keepTenantsOut(ctx, conn, server) }); err != nil {
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

// ensureTemplate builds the template unless it is there and marked; the caller holds its lock. It is built under a name of
// its own, and gets the template's on the session that holds the lock: so a process that was stopped while it built, and
// lost the lock, has no part in what another has built since. What has the name and not the mark goes.
func (p *Provisioner) ensureTemplate(ctx context.Context, conn *pgx.Conn, server registry.Server, name string) error {
	var marked bool
	err := conn.QueryRow(ctx,
		"SELECT coalesce((SELECT datistemplate FROM pg_database WHERE datname = $1), false)", name).Scan(&marked)
	if err != nil || marked {
		return err
	}
	if err := run(ctx, conn, "DROP DATABASE IF EXISTS "+quote(name)+" WITH (FORCE)"); err != nil {
		return err
	}
	// template0 and not template1, to which anybody may have added something that the schema does not name.
	create := func(scratch string) error { return p.createClosed(ctx, conn, scratch, "template0") }
	return p.withScratch(ctx, conn, server, create, func(scratch *pgx.ConnConfig) error {
		err := p.showLife(ctx, conn, func(ctx context.Context) error { return p.build(ctx, scratch) })
		if err != nil {
			return err
		}
		return run(ctx, conn, strings.NewReplacer("$scratch", quote(scratch.Database), "$name", quote(name)).Replace(`
			ALTER DATABASE $scratch RENAME TO $name;
			ALTER DATABASE $name WITH ALLOW_CONNECTIONS false IS_TEMPLATE true`))
	})
}

// createClosed makes a database that nobody can connect to, not even for a moment.
func (p *Provisioner) createClosed(ctx context.Context, conn *pgx.Conn, name, template string) error {
	return run(ctx, conn, fmt.Sprintf("CREATE DATABASE %s TEMPLATE %s OWNER %s ALLOW_CONNECTIONS false",
		quote(name), quote(template), quote(p.names.ownerRole())))
}

// openToOwner lets the owner's members in, and nobody else.
func openToOwner(name string) string {
	return fmt.Sprintf("REVOKE ALL ON DATABASE %[1]s FROM PUBLIC; ALTER DATABASE %[1]s WITH ALLOW_CONNECTIONS true",
		quote(name))
}

// build makes the schema, and what every clone shall inherit: privileges, statistics and frozen rows, which the clone
// would otherwise have to make for itself.
func (p *Provisioner) build(ctx context.Context, cfg *pgx.ConnConfig) error {
	if err := grant(ctx, cfg, p.names.groupRole()); err != nil {
		return fmt.Errorf("grant: %w", pgerr.Redact(err))
	}
	err := guard(func() error { return p.cfg.Schema.Build(ctx, cfg.Copy()) })
	if err != nil {
		return fmt.Errorf("build schema: %w", pgerr.Redact(err))
	}
	if err := p.settle(ctx, cfg); err != nil {
		return fmt.Errorf("revoke: %w", pgerr.Redact(err))
	}
	// Not pinned: the functions of an index may need the schema's own search_path.
	return runIn(ctx, cfg, "VACUUM (ANALYZE, FREEZE)")
}
