package tenancy_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// mark puts a comment on a database.
func mark(t testing.TB, database, comment string) {
	t.Helper()
	admin := connect(t)
	_, err := admin.Exec(t.Context(), "COMMENT ON DATABASE "+pgx.Identifier{database}.Sanitize()+" IS '"+comment+"'")
	if err != nil {
		t.Fatal(err)
	}
}

func TestFenceLetsOnlyTheTenantOfTheMarkIn(t *testing.T) {
	t.Parallel()
	dir, base := databases(t, 1)
	record := dir.records["t0"]
	record.Epoch = 5
	dir.put(record)
	for _, c := range []struct {
		name, comment, want string // want is part of the error; empty: let in
	}{
		{"its own", tenancy.OwnerTag{Tenant: "t0", Epoch: 5}.String(), ""},
		{"older", tenancy.OwnerTag{Tenant: "t0", Epoch: 1}.String(), ""},
		{"newer", tenancy.OwnerTag{Tenant: "t0", Epoch: 6}.String(), "has epoch 6, its record 5"},
		{"closed", tenancy.OwnerTag{Tenant: "t0", Epoch: 5, Fenced: true}.String(), "is closed"},
		{"another's", tenancy.OwnerTag{Tenant: "t1", Epoch: 5}.String(), "is another tenant's"},
		{"none", "", "has no owner tag"},
		{"other version", `{"pgtenancy":2,"tenant":"t0","epoch":5}`, "has no owner tag"},
	} {
		mark(t, record.Endpoint.Database, c.comment)
		var alarms, hooked atomic.Int64
		cfg := base.Copy()
		cfg.AfterConnect = func(context.Context, *pgx.Conn) error { hooked.Add(1); return nil }
		r := resolver(t, tenancy.Config{
			Directory: dir, Base: cfg, Fence: true,
			Observer: tenancy.Observer{Fenced: func(tenancy.ID, error) { alarms.Add(1) }},
		})
		err := query(t, r, "t0")
		switch refused := c.want != ""; {
		case refused != errors.Is(err, tenancy.ErrFenced), !refused && err != nil,
			refused && !strings.Contains(err.Error(), c.want):
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		case refused != (alarms.Load() == 1), refused != (hooked.Load() == 0):
			t.Errorf("%s: %d alarms, the user's hook saw %d connections", c.name, alarms.Load(), hooked.Load())
		}
		closeNow(t, r)
	}
}

// What the server refuses makes the next Acquire ask the directory, whose record may say something else by then. It is
// not asked for every refusal.
func TestRefusedConnectionIsFollowedByALookup(t *testing.T) {
	t.Parallel()
	dir, base := databases(t, 2)
	right, wrong := dir.records["t0"].Endpoint, dir.records["t1"].Endpoint
	mark(t, right.Database, tenancy.OwnerTag{Tenant: "t0"}.String())
	mark(t, wrong.Database, tenancy.OwnerTag{Tenant: "t1"}.String())
	endpoints := map[string]tenancy.Endpoint{
		"fenced":         wrong,
		"no database":    {Database: "there_is_none"},
		"wrong password": {Database: right.Database, Password: tenancy.NewSecret("wrong")},
		"no such role":   {Database: right.Database, User: "there_is_none"},
	}
	for name, wrong := range endpoints {
		dir := newTenants()
		dir.put(tenancy.Tenant{ID: "t0", State: tenancy.Active, Epoch: 1, Endpoint: wrong})
		r := resolver(t, tenancy.Config{Directory: dir, Base: base, Fence: true, TTL: -1})
		for range 10 {
			if err := query(t, r, "t0"); err == nil {
				t.Errorf("%s: let in", name)
			}
		}
		if n := dir.asked("t0"); n < 2 || n > 4+3 { // one a second, and three for the first password that is refused
			t.Errorf("%s: %d look-ups", name, n)
		}
		if n := r.Stat().OpenCount(); n != 1 {
			t.Errorf("%s: the record stayed the same, and %d pools were opened", name, n)
		}
		dir.put(tenancy.Tenant{ID: "t0", State: tenancy.Active, Epoch: 2, Endpoint: right})
		eventually(t, "let in", func() bool { return query(t, r, "t0") == nil })
		closeNow(t, r)
	}
}

// countingTracer is a user's tracer.
type countingTracer struct{ queries, connects, connected atomic.Int64 }

func (c *countingTracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	c.queries.Add(1)
	return ctx
}

func (c *countingTracer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (c *countingTracer) TraceConnectStart(ctx context.Context, _ pgx.TraceConnectStartData) context.Context {
	c.connects.Add(1)
	return ctx
}

func (c *countingTracer) TraceConnectEnd(_ context.Context, data pgx.TraceConnectEndData) {
	if data.Err == nil {
		c.connected.Add(1)
	}
}

func TestTracerOfTheUserSeesEverything(t *testing.T) {
	t.Parallel()
	base := pgtest.Database(t)
	var tracer countingTracer
	base.ConnConfig.Tracer = &tracer
	dir := newTenants()
	dir.put(tenancy.Tenant{
		ID: "t0", State: tenancy.Active,
		Endpoint: tenancy.Endpoint{Database: base.ConnConfig.Database},
	})
	r := resolver(t, tenancy.Config{Directory: dir, Base: base})
	defer closeNow(t, r)
	err := r.AcquireFunc(t.Context(), "t0", func(ctx context.Context, pool *pgxpool.Pool) error {
		return pool.AcquireFunc(ctx, func(c *pgxpool.Conn) error {
			_, err := c.Exec(ctx, "select 1")
			return err
		})
	})
	if err != nil || tracer.queries.Load() != 1 || tracer.connects.Load() != 1 || tracer.connected.Load() != 1 {
		t.Errorf("%v; %d queries, %d connects, %d connected",
			err, tracer.queries.Load(), tracer.connects.Load(), tracer.connected.Load())
	}
}
