package catalog

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/regdb"
)

// Adopted is an adopted tenant's database and role.
type Adopted struct {
	Database, Role string
	SharedRole     bool
}

// Adopted returns the databases on a server that tenants have adopted, in any state: their names say nothing of whose
// they are. ctx governs the query.
func (cat *Catalog) Adopted(ctx context.Context, server string) ([]Adopted, error) {
	rows, _ := cat.db.Pool.Query(ctx, `SELECT database, role_name, role_shared FROM pgtenancy.tenants
		WHERE server = $1 AND adopted`, server)
	adopted, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Adopted])
	return adopted, regdb.Redact(fmt.Sprintf("adopted databases on server %q", server), err)
}
