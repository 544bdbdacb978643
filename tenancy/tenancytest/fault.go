package tenancytest

import (
	"context"
	"fmt"
	"testing"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Suspend closes the tenant, as an operator does: leases that are held are over (tenancy.Lease.Done), and Acquire
// returns tenancy.ErrSuspended, until Resume.
func (t *Tenant) Suspend(tb testing.TB) {
	tb.Helper()
	t.do(tb, "suspend", func(ctx context.Context) error { return t.fleet.control.suspend(ctx, t.record.ID) })
}

// Resume opens the tenant again after Suspend or Fence.
func (t *Tenant) Resume(tb testing.TB) {
	tb.Helper()
	t.do(tb, "resume", func(ctx context.Context) error { return t.fleet.control.resume(ctx, t.record.ID) })
}

// Fence changes the tenant's epoch in its database alone and ends the sessions there, as another process does that
// moves or suspends the tenant before this process has heard of it. Queries get tenancy.ErrFenced, after the errors of
// the connections that were cut, until Resume.
func (t *Tenant) Fence(tb testing.TB) {
	tb.Helper()
	t.do(tb, "fence", func(ctx context.Context) error {
		record, err := t.fleet.control.Lookup(ctx, t.record.ID)
		if err != nil {
			return err
		}
		record.Epoch++ // and not OwnerTag.Fenced, which the reconciler of a System would mend
		if err := t.fleet.server.mark(ctx, record, false); err != nil {
			return err
		}
		_, err = t.fleet.server.terminate(ctx, record.Endpoint.Database)
		return err
	})
}

// Evict closes the tenant's pool as soon as its leases are released, as a full or an idle resolver does. What the
// tested code keeps of the pool beyond its lease fails from then on.
func (t *Tenant) Evict() { t.fleet.Resolver.Evict(t.record.ID) }

// Terminate ends all sessions in the tenant's database, as the restart of a server or a failover does, and returns how
// many there were. It returns when they have ended. New sessions can be made at once.
func (t *Tenant) Terminate(tb testing.TB) (n int) {
	tb.Helper()
	t.do(tb, "end sessions", func(ctx context.Context) (err error) {
		n, err = t.fleet.server.terminate(ctx, t.record.Endpoint.Database)
		return err
	})
	return n
}

func (t *Tenant) do(tb testing.TB, what string, f func(context.Context) error) {
	tb.Helper()
	ctx, cancel := bounded(tb)
	defer cancel()
	if err := f(ctx); err != nil {
		tb.Fatalf("tenancytest: %s of tenant %q: %v", what, string(t.record.ID), pgerr.Redact(err))
	}
}

// mark writes the owner tag of a tenant's database.
func (s *server) mark(ctx context.Context, t tenancy.Tenant, fenced bool) error {
	tag := tenancy.OwnerTag{Tenant: t.ID, Epoch: t.Epoch, Fenced: fenced}
	return s.exec(ctx, fmt.Sprintf("COMMENT ON DATABASE %s IS '%s'", quote(t.Endpoint.Database), tag))
}

// terminate ends the sessions in a database, and waits until they have ended.
func (s *server) terminate(ctx context.Context, database string) (n int, err error) {
	// Materialized: the planner would otherwise end sessions before it looks at their database.
	err = s.admin.QueryRow(ctx, `
		WITH sessions AS MATERIALIZED (
			SELECT pid FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend'
		)
		SELECT count(*) FROM sessions WHERE pg_terminate_backend(pid, 10000)`, database).Scan(&n)
	return n, err
}
