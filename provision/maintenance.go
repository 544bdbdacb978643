package provision

import (
	"context"
	"log/slog"
	"maps"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/registry"
)

// pinned is cfg for a session that finds nothing but PostgreSQL's own functions and tables by their bare names. It is
// for databases in which others may create objects, of which a call could pick a better match.
func pinned(cfg *pgx.ConnConfig) *pgx.ConnConfig {
	cfg = cfg.Copy()
	cfg.RuntimeParams = maps.Clone(cfg.RuntimeParams)
	if cfg.RuntimeParams == nil {
		cfg.RuntimeParams = map[string]string{}
	}
	cfg.RuntimeParams["search_path"] = "pg_catalog, pg_temp"
	return cfg
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
		err := run(ctx, conn, "GRANT CONNECT ON DATABASE "+quote(d.Name)+" TO CURRENT_USER;"+
			"REVOKE CONNECT, TEMPORARY ON DATABASE "+quote(d.Name)+" FROM PUBLIC")
		if err != nil {
			return err
		}
	}
	return nil
}
