// Package scratch makes databases that work is done in before anybody else may enter.
package scratch

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Create makes a database that no client can connect to, not even for a moment. The owner "" is conn's role. ctx
// governs it; the error is the driver's.
func Create(ctx context.Context, conn *pgx.Conn, name, template, owner string) error {
	sql := "CREATE DATABASE " + quote(name) + " TEMPLATE " + quote(template)
	if owner != "" {
		sql += " OWNER " + quote(owner)
	}
	return run(ctx, conn, sql+" ALLOW_CONNECTIONS false")
}

// Open lets only the owner and the owner's members in.
func Open(ctx context.Context, conn *pgx.Conn, name string) error {
	return run(ctx, conn, "REVOKE ALL ON DATABASE "+quote(name)+" FROM PUBLIC;"+
		"ALTER DATABASE "+quote(name)+" WITH ALLOW_CONNECTIONS true")
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }

func run(ctx context.Context, conn *pgx.Conn, sql string) error {
	_, err := conn.PgConn().Exec(ctx, sql).ReadAll()
	return err
}
