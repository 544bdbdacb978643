package church

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Database returns the name of the database that db is connected to, as the database itself says it.
func Database(ctx context.Context, db *pgxpool.Pool) (string, error) {
	var name string
	err := db.QueryRow(ctx, "SELECT current_database()").Scan(&name)
	return name, explain(err)
}
