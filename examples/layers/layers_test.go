package layers_test

import (
	"context"
	"errors"
	"runtime"
	"testing"

	entsql "entgo.io/ent/dialect/sql"
	"github.com/georgysavva/scany/v2/pgxscan"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/uptrace/bun"
	"gorm.io/gorm"

	"github.com/pgtenancy/pgtenancy/examples/layers"
	"github.com/pgtenancy/pgtenancy/tenancy"
	"github.com/pgtenancy/pgtenancy/tenancy/tenancytest"
)

type Note struct {
	bun.BaseModel `bun:"table:notes" db:"-" gorm:"-"`

	ID   int64  `bun:"id,pk,autoincrement" db:"id"   gorm:"primaryKey"`
	Text string `bun:"text"                db:"text"`
}

var errUndo = errors.New("undo")

// layer adds a note, adds another in a transaction that is rolled back, and returns the notes that there are.
type layer func(ctx context.Context, text string) ([]Note, error)

var all = map[string]layer{
	"pgx, sqlc": func(ctx context.Context, text string) ([]Note, error) {
		pool := tenancy.MustFromContext(ctx).Pool() // sqlc: queries := db.New(pool)
		if _, err := pool.Exec(ctx, "INSERT INTO notes (text) VALUES ($1)", text); err != nil {
			return nil, err
		}
		err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error { // sqlc: queries.WithTx(tx)
			_, err := tx.Exec(ctx, "INSERT INTO notes (text) VALUES ('undone')")
			return errors.Join(err, errUndo)
		})
		if !errors.Is(err, errUndo) {
			return nil, err
		}
		rows, _ := pool.Query(ctx, "SELECT id, text FROM notes ORDER BY id")
		return pgx.CollectRows(rows, pgx.RowToStructByNameLax[Note])
	},
	"scany": func(ctx context.Context, text string) (notes []Note, err error) {
		pool := tenancy.MustFromContext(ctx).Pool()
		if _, err := pool.Exec(ctx, "INSERT INTO notes (text) VALUES ($1)", text); err != nil {
			return nil, err
		}
		err = pgxscan.Select(ctx, pool, &notes, "SELECT id, text FROM notes ORDER BY id")
		return notes, err
	},
	"database/sql": func(ctx context.Context, text string) (notes []Note, err error) {
		db := layers.From(ctx).SQL
		if _, err := db.ExecContext(ctx, "INSERT INTO notes (text) VALUES ($1)", text); err != nil {
			return nil, err
		}
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return nil, err
		}
		_, err = tx.ExecContext(ctx, "INSERT INTO notes (text) VALUES ('undone')")
		if err := errors.Join(err, tx.Rollback()); err != nil {
			return nil, err
		}
		rows, err := db.QueryContext(ctx, "SELECT id, text FROM notes ORDER BY id")
		if err != nil {
			return nil, err
		}
		defer rows.Close()
		for rows.Next() {
			var n Note
			if err := rows.Scan(&n.ID, &n.Text); err != nil {
				return nil, err
			}
			notes = append(notes, n)
		}
		return notes, rows.Err()
	},
	"sqlx": func(ctx context.Context, text string) (notes []Note, err error) {
		db := layers.From(ctx).SQLX
		if _, err := db.NamedExecContext(ctx, "INSERT INTO notes (text) VALUES (:text)", Note{Text: text}); err != nil {
			return nil, err
		}
		err = db.SelectContext(ctx, &notes, "SELECT id, text FROM notes ORDER BY id")
		return notes, err
	},
	"bun": func(ctx context.Context, text string) (notes []Note, err error) {
		db := layers.From(ctx).Bun
		if _, err := db.NewInsert().Model(&Note{Text: text}).Exec(ctx); err != nil {
			return nil, err
		}
		err = db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
			_, err := tx.NewInsert().Model(&Note{Text: "undone"}).Exec(ctx)
			return errors.Join(err, errUndo)
		})
		if !errors.Is(err, errUndo) {
			return nil, err
		}
		err = db.NewSelect().Model(&notes).Order("id").Scan(ctx)
		return notes, err
	},
	"gorm": func(ctx context.Context, text string) (notes []Note, err error) {
		db := layers.From(ctx).Gorm.WithContext(ctx)
		if err := db.Create(&Note{Text: text}).Error; err != nil {
			return nil, err
		}
		err = db.Transaction(func(tx *gorm.DB) error {
			return errors.Join(tx.Create(&Note{Text: "undone"}).Error, errUndo)
		})
		if !errors.Is(err, errUndo) {
			return nil, err
		}
		return notes, db.Order("id").Find(&notes).Error
	},
	"ent": func(ctx context.Context, text string) (notes []Note, err error) {
		driver := layers.From(ctx).Ent // client := ent.NewClient(ent.Driver(driver))
		insert, args := entsql.Dialect("postgres").Insert("notes").Columns("text").Values(text).Query()
		if err := driver.Exec(ctx, insert, args, nil); err != nil {
			return nil, err
		}
		tx, err := driver.Tx(ctx)
		if err != nil {
			return nil, err
		}
		if err := errors.Join(tx.Exec(ctx, insert, []any{"undone"}, nil), tx.Rollback()); err != nil {
			return nil, err
		}
		var rows entsql.Rows
		if err := driver.Query(ctx, "SELECT id, text FROM notes ORDER BY id", []any{}, &rows); err != nil {
			return nil, err
		}
		defer rows.Close()
		return notes, entsql.ScanSlice(rows, &notes)
	},
}

func newFleet(t *testing.T) *tenancytest.Fleet {
	t.Helper()
	return tenancytest.New(t, tenancytest.Config{
		Schema: tenancytest.SQL(`CREATE TABLE notes (
			id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text text NOT NULL)`),
		Resolver: func(cfg *tenancy.Config) { cfg.Attach = layers.Attach },
		Strict:   true,
	})
}

func TestEachLayerWorksInItsTenantsDatabase(t *testing.T) {
	t.Parallel()
	fleet := newFleet(t)
	for name, work := range all {
		t.Run(name, func(t *testing.T) {
			one, two := fleet.Tenant(t), fleet.Tenant(t)
			for range 2 { // with a pool that was opened anew too
				for _, tenant := range []*tenancytest.Tenant{one, two} {
					lease := tenant.Lease(t)
					notes, err := work(tenancy.NewContext(t.Context(), lease), "of "+string(tenant.ID()))
					if err != nil || len(notes) == 0 {
						t.Fatalf("%d notes, %v", len(notes), err)
					}
					for _, n := range notes {
						if n.Text != "of "+string(tenant.ID()) || n.ID == 0 {
							t.Errorf("%d: %q in the database of %s", n.ID, n.Text, tenant.ID())
						}
					}
					lease.Release()
				}
				fleet.EvictAll()
			}
		})
	}
}

func TestNothingLeaksWithRequests(t *testing.T) {
	fleet := newFleet(t)
	tenant := fleet.Tenant(t)
	for name, work := range all {
		before := 0
		for i := range 500 {
			lease := tenant.Lease(t)
			ctx := tenancy.NewContext(t.Context(), lease)
			if i%100 == 0 {
				if _, err := work(ctx, "x"); err != nil {
					t.Fatal(err)
				}
			}
			lease.Release()
			if i == 100 {
				before = runtime.NumGoroutine()
			}
		}
		if n := runtime.NumGoroutine(); n > before+10 {
			t.Errorf("%s: %d goroutines after 500 requests, and %d after 100", name, n, before)
		}
	}
}

// Closing database/sql's view of a pool does not close the pool.
func TestViewOfAPoolIsClosedWithoutIt(t *testing.T) {
	t.Parallel()
	lease := newFleet(t).Tenant(t).Lease(t)
	db := stdlib.OpenDBFromPool(lease.Pool())
	if err := errors.Join(db.PingContext(t.Context()), db.Close(), lease.Pool().Ping(t.Context())); err != nil {
		t.Error(err)
	}
}

// A migration tool that a service runs by itself.
func TestGooseMigratesATenant(t *testing.T) {
	t.Parallel()
	fleet := tenancytest.New(t, tenancytest.Config{TenantOwns: true})
	lease := fleet.Tenant(t).Lease(t)
	db := stdlib.OpenDBFromPool(lease.Pool())
	defer db.Close()
	provider, err := goose.NewProvider(goose.DialectPostgres, db, migrations(),
		goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := lease.Pool().Exec(t.Context(), "INSERT INTO notes (text) VALUES ('x')"); err != nil {
		t.Error(err)
	}
}
