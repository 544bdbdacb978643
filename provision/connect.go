package provision

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgtarget"
	"github.com/pgtenancy/pgtenancy/registry"
)

// connectTimeout bounds log-in, so that a server that answers nothing does not hold up the work for others.
const connectTimeout = 10 * time.Second

// config is how Admin logs in to a database of server, directly. Admin's password goes where the address in the
// registry says, so that one which the registry's keys do not vouch for is refused.
func (p *Provisioner) config(server registry.Server, database string) (*pgx.ConnConfig, error) {
	if err := server.Verify(); err != nil {
		return nil, err
	}
	cfg := p.cfg.Admin.Copy()
	cfg.Database = database
	if err := pgtarget.Point(&cfg.Config, server.Host, server.Port); err != nil {
		return nil, fmt.Errorf("provision: Config.Admin: address of server %q: %w", server.Name, err)
	}
	return cfg, nil
}

// session connects to the maintenance database of server.
func (p *Provisioner) session(ctx context.Context, server registry.Server) (*pgx.Conn, error) {
	return p.sessionIn(ctx, server, p.cfg.Admin.Database)
}

// boundedSession is session, but no statement waits for a lock for longer than lockTimeout.
func (p *Provisioner) boundedSession(ctx context.Context, server registry.Server) (*pgx.Conn, error) {
	conn, err := p.session(ctx, server)
	if err != nil {
		return nil, err
	}
	if err := run(ctx, conn, "SET lock_timeout = '"+lockTimeout+"'"); err != nil {
		disconnect(conn)
		return nil, err
	}
	return conn, nil
}

// sessionIn connects to a database in which others may have made objects. No time-out of the role or the server may end
// a DROP or a wait for a lock in the middle; ctx bounds them.
func (p *Provisioner) sessionIn(ctx context.Context, server registry.Server, database string) (*pgx.Conn, error) {
	cfg, err := p.config(server, database)
	if err != nil {
		return nil, err
	}
	cfg = pinned(cfg)
	for _, name := range []string{"statement_timeout", "lock_timeout", "idle_session_timeout"} {
		cfg.RuntimeParams[name] = "0"
	}
	cfg.RuntimeParams["application_name"] = "pgtenancy"
	cfg.DefaultQueryExecMode = pgx.QueryExecModeExec // each query runs once: do not prepare it first
	return connect(ctx, cfg)
}

func connect(ctx context.Context, cfg *pgx.ConnConfig) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	return pgx.ConnectConfig(ctx, cfg)
}

// disconnect closes conn, and waits for what pgx still does in the background after a query was cancelled.
func disconnect(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
	defer cancel()
	_ = conn.Close(ctx)
	select {
	case <-conn.PgConn().CleanupDone():
	case <-ctx.Done():
	}
}

// run executes statements in one round trip. Unless one of them forbids it, they are one transaction.
func run(ctx context.Context, conn *pgx.Conn, sql string) error {
	_, err := conn.PgConn().Exec(ctx, sql).ReadAll()
	return err
}

// majorVersion is that of the server: 15 of "15.18 (Debian 15.18-0+deb12u1)", 18 of "18beta1".
func majorVersion(conn *pgx.Conn) (major int) {
	_, _ = fmt.Sscanf(conn.PgConn().ParameterStatus("server_version"), "%d", &major)
	return major
}

// runIn is run on a connection of its own.
func runIn(ctx context.Context, cfg *pgx.ConnConfig, sql string) error {
	conn, err := connect(ctx, cfg)
	if err != nil {
		return err
	}
	defer disconnect(conn)
	return run(ctx, conn, sql)
}
