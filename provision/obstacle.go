package provision

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// InUseError says what keeps a database from being dropped, or a role from being changed, until somebody ends it:
// PostgreSQL lets the administrator do nothing about it. docs/operations.md has the statements.
type InUseError struct {
	Database string

	// By names the obstacles: prepared transaction "…", replication slot "…" that is in use, subscription "…".
	By []string
}

// Error names the database and the first obstacles.
func (e *InUseError) Error() string {
	const most = 5
	text := fmt.Sprintf("provision: database %q is in use by %s", e.Database,
		strings.Join(e.By[:min(len(e.By), most)], ", "))
	if more := len(e.By) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// checkUnused returns an *InUseError if DROP DATABASE would refuse.
func checkUnused(ctx context.Context, conn *pgx.Conn, database string) error {
	return inUse(ctx, conn, database, `
		SELECT 'prepared transaction ' || quote_ident(gid) FROM pg_prepared_xacts WHERE database = $1::text
		UNION ALL
		SELECT 'replication slot ' || quote_ident(slot_name) || ' that is active' FROM pg_replication_slots
		WHERE database = $1::text AND slot_type = 'logical' AND active
		UNION ALL
		SELECT 'subscription ' || quote_ident(subname) FROM pg_subscription
		WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = $1::text)`, database)
}

// checkPrepared returns an *InUseError if the tenant's role has a prepared transaction, which holds its locks without a
// session.
func (p *Provisioner) checkPrepared(ctx context.Context, conn *pgx.Conn, e tenancy.Endpoint) error {
	return inUse(ctx, conn, e.Database,
		`SELECT 'prepared transaction ' || quote_ident(gid) FROM pg_prepared_xacts WHERE owner = $1::text`, e.User)
}

func inUse(ctx context.Context, conn *pgx.Conn, database, sql, arg string) error {
	rows, _ := conn.Query(ctx, sql, arg)
	by, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err == nil && len(by) > 0 {
		err = &InUseError{database, by}
	}
	return err
}
