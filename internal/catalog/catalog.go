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

// TryLease reports whether the caller gets the lease called name. After a call returns true, all other callers in all
// processes get false until ttl has passed, even if the caller that got true dies. So the work under a lease starts at
// most once per ttl. A lease cannot be renewed: work that takes longer than ttl may run twice at once. Time is the
// database's. ctx governs the statement.
func (cat *Catalog) TryLease(ctx context.Context, name string, ttl time.Duration) (bool, error) {
	return cat.db.Exec(ctx, fmt.Sprintf("try lease %q", name), `
		INSERT INTO pgtenancy.duties (name, until) VALUES ($1, now() + $2::interval)
		ON CONFLICT (name) DO UPDATE SET until = excluded.until WHERE duties.until <= now()`, name, ttl)
}
