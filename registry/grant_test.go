package registry_test

import (
	"context"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/registry"
)

// deaf does not hear the answer to a statement with sql in it: what it asked for is done, and the connection breaks.
type deaf struct{ sql atomic.Pointer[string] }

func (d *deaf) to(sql string) { d.sql.Store(&sql) }

func (d *deaf) TraceQueryStart(ctx context.Context, conn *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	if sql := d.sql.Load(); sql != nil && strings.Contains(q.SQL, *sql) {
		conn.PgConn().Conn().(*deafConn).deaf.Store(true)
		d.sql.Store(nil)
	}
	return ctx
}

func (*deaf) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

type deafConn struct {
	net.Conn
	deaf atomic.Bool
}

func (c *deafConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && c.deaf.Load() {
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

// deafened returns a registry on f's database that is deaf when d says so. It prepares nothing, which would be an
// answer before the decisive one.
func (f *fixture) deafened(t *testing.T, d *deaf) *fixture {
	t.Helper()
	cfg := f.pool.Config()
	cfg.ConnConfig.Tracer, cfg.ConnConfig.DefaultQueryExecMode = d, pgx.QueryExecModeExec
	dial := cfg.ConnConfig.DialFunc
	cfg.ConnConfig.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		return &deafConn{Conn: conn}, err
	}
	pool := newPool(t, cfg)
	reg := newRegistry(t, registry.Config{Pool: pool, Keyring: newKeyring(t, 1)})
	return &fixture{Registry: reg, Catalog: catalog.Of(reg), pool: pool}
}

func (f *fixture) granted(t *testing.T) (sum int) {
	t.Helper()
	must(t, f.pool.QueryRow(t.Context(), `SELECT coalesce(sum(granted), 0) FROM pgtenancy.router_conns`).Scan(&sum))
	return sum
}

func TestWhoDidNotHearThatItTookMoreGivesItBack(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.budgetOf(t, 10)
	var d deaf
	first, second := f.deafened(t, &d).join(t), f.join(t)
	settle(t, []*user{first, second})
	second.share.Leave(t.Context())
	d.to("commit")
	if err := first.share.Beat(t.Context()); err == nil || f.granted(t) != 10 {
		t.Fatalf("no answer was lost: %v, %d are granted", err, f.granted(t))
	}
	newcomer := f.join(t)
	settle(t, []*user{first, newcomer})
	if first.limit["s1"] != 5 || newcomer.limit["s1"] != 5 {
		t.Errorf("they may open %d and %d, want 5 each", first.limit["s1"], newcomer.limit["s1"])
	}
}

func TestWhoDidNotHearThatItLetGoTakesNothingThatIsNotItsOwn(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.budgetOf(t, 10)
	var d deaf
	first := f.deafened(t, &d).join(t)
	second := f.join(t)
	d.to("UPDATE pgtenancy.router_conns")
	if err := first.share.Beat(t.Context()); err == nil || f.granted(t) != 5 {
		t.Fatalf("no answer was lost: %v, %d are granted", err, f.granted(t))
	}
	second.share.Leave(t.Context()) // before it has taken anything
	must(t, first.share.Beat(t.Context()))
	if first.limit["s1"] != 10 || f.granted(t) != 10 {
		t.Errorf("the only process may open %d, and has written down %d", first.limit["s1"], f.granted(t))
	}
	newcomer := f.join(t)
	if _, limits := sum([]*user{first, newcomer}); limits > 10 {
		t.Errorf("%d may be open, the budget is 10", limits)
	}
}
