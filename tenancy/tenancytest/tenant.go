package tenancytest

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Tenant is a tenant of a [Fleet]. It is safe for concurrent use.
type Tenant struct {
	fleet  *Fleet
	record tenancy.Tenant // as it was when it was made or looked up
}

// ID returns the tenant's id.
func (t *Tenant) ID() tenancy.ID { return t.record.ID }

// Database returns the name of the tenant's database.
func (t *Tenant) Database() string { return t.record.Endpoint.Database }

// AddAlias gives the tenant another name, such as a host name, until its end. The test ends at once if a tenant has it.
func (t *Tenant) AddAlias(tb testing.TB, alias string) {
	tb.Helper()
	t.do(tb, "add alias", func(ctx context.Context) error {
		return t.fleet.control.addAlias(ctx, t.record.ID, alias)
	})
}

// Lease leases the tenant's pool until tb's end. Its pool acts as the tenant's role. The test ends at once if the
// tenant cannot be leased, for example while it is suspended.
func (t *Tenant) Lease(tb testing.TB) *tenancy.Lease {
	tb.Helper()
	ctx, cancel := bounded(tb)
	defer cancel()
	lease, err := t.fleet.Resolver.Acquire(ctx, t.record.ID)
	if err != nil {
		tb.Fatalf("tenancytest: lease tenant %q: %v", string(t.record.ID), err)
	}
	tb.Cleanup(lease.Release)
	return lease
}

// Context returns tb's context with a lease, as the middleware gives it to a handler. It is otherwise as Lease.
func (t *Tenant) Context(tb testing.TB) context.Context {
	tb.Helper()
	return tenancy.NewContext(tb.Context(), t.Lease(tb))
}

// Admin returns an administrator's configuration for the tenant's database, for what the tenant's role may not do. The
// caller owns it. The faults of the server do not reach its connections.
func (t *Tenant) Admin() *pgx.ConnConfig {
	return t.fleet.server.connConfig(t.record.Endpoint.Database)
}

// Exec runs SQL in the tenant's database as the administrator, on a connection of its own: the rows that a test begins
// with. Without args, sql may have several statements. The test ends at once if it fails.
func (t *Tenant) Exec(tb testing.TB, sql string, args ...any) {
	tb.Helper()
	ctx, cancel := bounded(tb)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, t.Admin())
	if err != nil {
		tb.Fatalf("tenancytest: connect to database of tenant %q: %v", string(t.record.ID), pgerr.Redact(err))
	}
	defer conn.Close(ctx)
	if len(args) == 0 {
		_, err = conn.PgConn().Exec(ctx, sql).ReadAll()
	} else {
		_, err = conn.Exec(ctx, sql, args...)
	}
	if err != nil {
		tb.Fatalf("tenancytest: execute in database of tenant %q: %v", string(t.record.ID), err)
	}
}

// Format implements [fmt.Formatter]: a tenant shows its id.
func (t *Tenant) Format(state fmt.State, _ rune) {
	_, _ = fmt.Fprintf(state, "tenant %q", string(t.record.ID))
}
