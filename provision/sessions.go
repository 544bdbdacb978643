package provision

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/registry"
)

var _ registry.Counter = (*Provisioner)(nil)

// TenantSessions implements [registry.Counter]: it names the sessions that server has in databases whose names begin
// with Config.Prefix, of whatever process and role. It asks on a session on the maintenance database. ctx governs it
// all.
//
// A server with a pooler in front is refused: sessions at the server are not connections to the pooler.
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
	defer disconnect(conn)
	// To a role without the rights of another a session's begin is not shown. Then its pid is its name.
	rows, _ := conn.Query(ctx, `SELECT concat_ws(' ', pid, backend_start) FROM pg_stat_activity
		WHERE usesysid IS NOT NULL AND starts_with(datname::text, $1::text)`, p.cfg.Prefix)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("provision: sessions of server %q: %w", server, pgerr.Redact(err))
	}
	return names, nil
}
