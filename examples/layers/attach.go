package layers

import (
	"context"
	"database/sql"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/jmoiron/sqlx"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Clients are what each query layer needs of a tenant's pool. A service has one of them.
type Clients struct {
	SQL  *sql.DB
	SQLX *sqlx.DB
	Bun  *bun.DB
	Gorm *gorm.DB
	Ent  *entsql.Driver // for ent.NewClient(ent.Driver(…))
}

// Attach is for tenancy.Config.Attach: the clients live as long as the pool, and every handler finds them by
// tenancy.Attached. They are made from database/sql's view of the pool, which has connections of its own to close, and
// closing it does not close the pool.
func Attach(_ context.Context, _ tenancy.Tenant, pool *pgxpool.Pool) (any, func(), error) {
	db := stdlib.OpenDBFromPool(pool)
	orm, err := gorm.Open(postgres.New(postgres.Config{Conn: db}), &gorm.Config{DisableAutomaticPing: true})
	if err != nil {
		_ = db.Close()
		return nil, nil, err
	}
	c := &Clients{
		SQL:  db,
		SQLX: sqlx.NewDb(db, "pgx"),
		Bun:  bun.NewDB(db, pgdialect.New()),
		Gorm: orm,
		Ent:  entsql.OpenDB(dialect.Postgres, db),
	}
	return c, func() { _ = db.Close() }, nil
}

// From returns the clients of the tenant whose lease is in ctx.
func From(ctx context.Context) *Clients {
	clients, _ := tenancy.Attached[*Clients](tenancy.MustFromContext(ctx))
	return clients
}
