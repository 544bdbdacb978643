package catalog

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/pgtenancy/pgtenancy/internal/regdb"
	"github.com/pgtenancy/pgtenancy/registry"
)

// Catalog is the protocol of a registry's rows. It keeps nothing in memory and is safe for concurrent use.
type Catalog struct {
	reg *registry.Registry
	db  *regdb.DB
}

// Of returns the Catalog of reg.
func Of(reg *registry.Registry) *Catalog { return &Catalog{reg: reg, db: reg.Internal()} }

// Format implements [fmt.Formatter]: under every verb a Catalog shows nothing; it leads to the keys.
func (*Catalog) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "catalog") }

// TryLease reports whether the duty called name falls to the caller now. Whoever takes it keeps it from all other
// callers, in whatever process, for as long as every, also if it dies: the duty is taken no more often than that. It is
// done by one at a time only if it ends within every, since it cannot be renewed; one that takes longer may be begun by
// another caller meanwhile. Time is the database's. ctx governs the statement.
func (cat *Catalog) TryLease(ctx context.Context, name string, every time.Duration) (bool, error) {
	return cat.db.Exec(ctx, fmt.Sprintf("try lease %q", name), `
		INSERT INTO pgtenancy.duties (name, until) VALUES ($1, now() + $2::interval)
		ON CONFLICT (name) DO UPDATE SET until = excluded.until WHERE duties.until <= now()`, name, every)
}
