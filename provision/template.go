package provision

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/nrednav/cuid2"

	"github.com/pgtenancy/pgtenancy/internal/pgadmin"
	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/internal/pglock"
	"github.com/pgtenancy/pgtenancy/internal/scratch"
	"github.com/pgtenancy/pgtenancy/registry"
)

// ensureTemplate builds the template unless it is there and sound. The caller holds its lock. It builds under another
// name, and renames the database on the session that holds the lock: so a process that was paused while it built, and
// lost the lock, cannot touch what another has built since. An unsound database of that name is dropped; it holds no
// data.
func (p *Provisioner) ensureTemplate(ctx context.Context, conn *pgx.Conn, server registry.Server, name string) error {
	sound, marked, err := p.lookAtTemplate(ctx, conn, name)
	if err != nil || sound {
		return err
	}
	if marked { // or it could not be dropped
		if err := pgadmin.Run(ctx, conn, "ALTER DATABASE "+pgadmin.Quote(name)+" IS_TEMPLATE false"); err != nil {
			return err
		}
	}
	if err := pgadmin.Run(ctx, conn, "DROP DATABASE IF EXISTS "+pgadmin.Quote(name)+" WITH (FORCE)"); err != nil {
		return err
	}
	// template0 and not template1, to which anybody may have added something that the schema does not name.
	create := func(name string) error { return scratch.Create(ctx, conn, name, "template0", p.names.ownerRole()) }
	return p.withScratch(ctx, conn, server, create, func(cfg *pgx.ConnConfig) error {
		err := p.keepAlive(ctx, conn, func(ctx context.Context) error { return p.build(ctx, cfg) })
		if err != nil {
			return err
		}
		return pgadmin.Run(ctx, conn, strings.NewReplacer(
			"$scratch", pgadmin.Quote(cfg.Database), "$name", pgadmin.Quote(name),
		).Replace(`
			ALTER DATABASE $scratch RENAME TO $name;
			ALTER DATABASE $name WITH ALLOW_CONNECTIONS false IS_TEMPLATE true`))
	})
}

// lookAtTemplate reports whether the database of that name may be cloned: it is a template of our owner, and has the
// collation version of the server's libraries. PostgreSQL clones no other: a new C library or ICU may sort in another
// way, and then the copied indexes are wrong.
func (p *Provisioner) lookAtTemplate(ctx context.Context, conn *pgx.Conn, name string) (sound, marked bool, err error) {
	rows, _ := conn.Query(ctx, `
		SELECT datistemplate AND pg_get_userbyid(datdba) = $2::name AND NOT `+collationMoved(conn)+`, datistemplate
		FROM pg_database d WHERE datname = $1::name`, name, p.names.ownerRole())
	_, err = pgx.ForEachRow(rows, []any{&sound, &marked}, func() error { return nil })
	return sound, marked, err
}

// collationMoved is an SQL expression: whether database d has indexes of another version of its collation. Versions
// before 15 do not know.
func collationMoved(conn *pgx.Conn) string {
	if pgadmin.MajorVersion(conn) < 15 {
		return "false"
	}
	return "(d.datcollversion IS NOT NULL AND d.datcollversion IS DISTINCT FROM " +
		"pg_database_collation_actual_version(d.oid))"
}

// build makes the schema, and all that clones inherit: privileges, statistics and frozen rows, which each clone would
// otherwise have to make for itself.
func (p *Provisioner) build(ctx context.Context, cfg *pgx.ConnConfig) error {
	if err := pgadmin.Grant(ctx, cfg, p.names.groupRole()); err != nil {
		return fmt.Errorf("grant: %w", pgerr.Redact(err))
	}
	err := guard(func() error { return p.cfg.Schema.Build(ctx, cfg.Copy()) })
	if err != nil {
		return fmt.Errorf("build schema: %w", pgerr.Redact(err))
	}
	if err := p.revokeExtras(ctx, cfg); err != nil {
		return fmt.Errorf("revoke: %w", pgerr.Redact(err))
	}
	// Not pinned: the functions of an index may need the schema's own search_path.
	return pgadmin.RunIn(ctx, cfg, "VACUUM (ANALYZE, FREEZE)")
}

// revokeExtras takes back what the schema and its extensions gave away in cfg's database.
func (p *Provisioner) revokeExtras(ctx context.Context, cfg *pgx.ConnConfig) error {
	conn, err := pgadmin.Connect(ctx, pgadmin.Pinned(cfg))
	if err != nil {
		return err
	}
	defer pgadmin.Disconnect(conn)
	if err := pgadmin.Withhold(ctx, conn, p.names.groupRole()); err != nil {
		return err
	}
	return pgadmin.ClosePublic(ctx, conn, p.tenantRoles()...)
}

// withScratch calls f with a scratch database that create has made, and drops it unless it has another name by then.
// conn holds the lock of its name until then. If this process dies, the lock is free, and the reconciler drops the
// database.
func (p *Provisioner) withScratch(ctx context.Context, conn *pgx.Conn, server registry.Server,
	create func(name string) error, f func(cfg *pgx.ConnConfig) error,
) error {
	name := p.names.model(cuid2.Generate())
	if err := pglock.Lock(ctx, conn, name); err != nil {
		return err
	}
	defer p.dropModel(ctx, conn, name)
	if err := create(name); err != nil {
		return err
	}
	if err := scratch.Open(ctx, conn, name); err != nil {
		return err
	}
	scratch, err := p.config(ctx, server, name)
	if err != nil {
		return err
	}
	return f(scratch)
}

// dropModel cannot be done on a session that ctx has closed; then the reconciler does it.
func (p *Provisioner) dropModel(ctx context.Context, conn *pgx.Conn, name string) {
	ctx, cancel := detached(ctx)
	defer cancel()
	if err := pgadmin.Run(ctx, conn, "DROP DATABASE IF EXISTS "+pgadmin.Quote(name)+" WITH (FORCE)"); err != nil {
		p.logError(ctx, "drop model "+name, "", err)
	}
}
