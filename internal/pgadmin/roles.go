package pgadmin

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
)

// CreateGroupRole makes a role that cannot log in, unless it is there.
func CreateGroupRole(ctx context.Context, conn *pgx.Conn, role string) error {
	var there bool
	err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", role).Scan(&there)
	if err != nil || there {
		return err
	}
	err = Run(ctx, conn, "CREATE ROLE "+Quote(role)+
		" NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS")
	if pgerr.IsState(err, pgerr.DuplicateObject, pgerr.UniqueViolation) {
		return nil // made meanwhile, without the lock
	}
	return err
}

// JoinRole gives the administrator the rights of role, unless it has them already; a superuser always does. From
// version 16 on, the role that makes another is its administrator but does not have its rights, and a grant must say
// what it gives.
func JoinRole(ctx context.Context, conn *pgx.Conn, role string) error {
	var has bool
	var version int
	err := conn.QueryRow(ctx,
		"SELECT pg_has_role($1::name, 'USAGE') AND pg_has_role($1::name, 'MEMBER'), "+
			"current_setting('server_version_num')::int", role,
	).Scan(&has, &version)
	if err != nil || has && version < 160000 {
		return err
	}
	if version < 160000 {
		return Run(ctx, conn, "GRANT "+Quote(role)+" TO CURRENT_USER")
	}
	err = conn.QueryRow(ctx, "SELECT pg_has_role($1::name, 'SET')", role).Scan(&has)
	if err != nil || has {
		return err
	}
	return Run(ctx, conn, "GRANT "+Quote(role)+" TO CURRENT_USER WITH INHERIT TRUE, SET TRUE")
}
