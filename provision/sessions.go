package provision

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgadmin"
	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/internal/pgtarget"
	"github.com/pgtenancy/pgtenancy/registry"
)

// admin is the configuration of server's administrator, which must not be changed.
func (p *Provisioner) admin(server string) (*pgx.ConnConfig, error) {
	if own := p.cfg.Admins[server]; own != nil {
		return own, nil
	}
	if p.cfg.Admin == nil {
		return nil, fmt.Errorf("provision: Config.Admins: server %q is missing, and there is no Admin", server)
	}
	return p.cfg.Admin, nil
}

// config is how the administrator logs in to a database on server's direct endpoint. It refuses an address that the
// registry's keys did not sign, because the password would go there.
func (p *Provisioner) config(ctx context.Context, server registry.Server, database string) (*pgx.ConnConfig, error) {
	if err := server.Verify(); err != nil {
		return nil, err
	}
	admin, err := p.admin(server.Name)
	if err != nil {
		return nil, err
	}
	cfg := admin.Copy()
	cfg.Database = database
	if err := pgtarget.Point(&cfg.Config, server.Host, server.Port); err != nil {
		return nil, fmt.Errorf("provision: Config.Admin: address of server %q: %w", server.Name, err)
	}
	if p.cfg.AdminPassword != nil {
		ctx, cancel := context.WithTimeout(ctx, pgadmin.ConnectTimeout)
		defer cancel()
		password, err := p.cfg.AdminPassword(ctx, server.Name)
		if err != nil {
			return nil, fmt.Errorf("provision: Config.AdminPassword of server %q: %w", server.Name, err)
		}
		cfg.Password = password.Reveal()
	}
	return cfg, nil
}

// session connects to the maintenance database of server.
func (p *Provisioner) session(ctx context.Context, server registry.Server) (*pgx.Conn, error) {
	admin, err := p.admin(server.Name)
	if err != nil {
		return nil, err
	}
	return p.sessionIn(ctx, server, admin.Database)
}

// lockTimeout is how long a statement of the administrator waits for a lock before it fails, and the sessions of
// tenants' roles that hold the lock are terminated.
const lockTimeout = "1s"

// boundedSession is session, but no statement waits for a lock for longer than lockTimeout.
func (p *Provisioner) boundedSession(ctx context.Context, server registry.Server) (*pgx.Conn, error) {
	conn, err := p.session(ctx, server)
	if err != nil {
		return nil, err
	}
	if err := pgadmin.Run(ctx, conn, "SET lock_timeout = '"+lockTimeout+"'"); err != nil {
		pgadmin.Disconnect(conn)
		return nil, err
	}
	return conn, nil
}

// sessionIn connects to a database in which others may have made objects. It turns off the time-outs of the role and
// the server, which could end a DROP or a wait for a lock in the middle; ctx bounds them.
func (p *Provisioner) sessionIn(ctx context.Context, server registry.Server, database string) (*pgx.Conn, error) {
	cfg, err := p.config(ctx, server, database)
	if err != nil {
		return nil, err
	}
	cfg = pgadmin.Pinned(cfg)
	for _, name := range []string{"statement_timeout", "lock_timeout", "idle_session_timeout"} {
		cfg.RuntimeParams[name] = "0"
	}
	cfg.RuntimeParams["application_name"] = "pgtenancy"
	cfg.DefaultQueryExecMode = pgx.QueryExecModeExec // each query runs once: do not prepare it first
	return pgadmin.Connect(ctx, cfg)
}

var _ registry.Counter = (*Provisioner)(nil)

// TenantSessions implements [registry.Counter]. It returns a name for each session, of any process and role, in the
// tenants' databases on server: those whose names begin with Config.Prefix, and adopted ones. It connects to the
// maintenance database. ctx governs all of it.
//
// It returns an error for a server with a pooler in front, because sessions at the server are not connections to the
// pooler.
func (p *Provisioner) TenantSessions(ctx context.Context, server string) ([]string, error) {
	s, err := p.cfg.Registry.Server(ctx, server)
	if err != nil {
		return nil, err
	}
	if s.PooledHost != "" {
		return nil, fmt.Errorf("provision: sessions of server %q: it has a pooler in front", server)
	}
	conn, err := p.session(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("provision: sessions of server %q: %w", server, pgerr.Redact(err))
	}
	defer pgadmin.Disconnect(conn)
	adopted, err := p.catalog.Adopted(ctx, server)
	if err != nil {
		return nil, fmt.Errorf("provision: sessions of server %q: %w", server, err)
	}
	// To a role without the rights of another a session's begin is not shown. Then its pid is its name.
	rows, _ := conn.Query(ctx, `SELECT concat_ws(' ', pid, backend_start) FROM pg_stat_activity
		WHERE usesysid IS NOT NULL AND (starts_with(datname::text, $1::text) OR datname = ANY($2::text[]))`,
		p.cfg.Prefix, databasesOf(adopted))
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("provision: sessions of server %q: %w", server, pgerr.Redact(err))
	}
	return names, nil
}
