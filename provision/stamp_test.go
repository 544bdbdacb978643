package provision_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// stall holds up the first statement that has sql in it, until it is let go.
type stall struct {
	sql               string
	reached, released chan struct{}
	once              sync.Once
	release           func()
}

func newStall(sql string) *stall {
	s := &stall{sql: sql, reached: make(chan struct{}), released: make(chan struct{})}
	s.release = sync.OnceFunc(func() { close(s.released) })
	return s
}

func (s *stall) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if strings.Contains(data.SQL, s.sql) {
		s.once.Do(func() { close(s.reached); <-s.released })
	}
	return ctx
}

func (s *stall) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// stamper is a provisioner of f's schema that stalls before it gives a stamp. It does not notice that it loses a claim,
// and looks for no other meanwhile.
func (f *fixture) stamper(t *testing.T) (*provision.Provisioner, *stall) {
	t.Helper()
	s := newStall("SET schema_hash")
	cfg := f.regCfg.Copy()
	cfg.ConnConfig.Tracer = s
	reg := openRegistryOn(t, poolOf(t, cfg))
	t.Cleanup(s.release)
	return f.provisioner(t, func(c *provision.Config) {
		c.Registry, c.ClaimTTL, c.Interval = reg, time.Hour,
			time.Hour
	}), s
}

// abandon leaves a sign-up of f's schema behind, as a process does that died after the intent.
func (f *fixture) abandon(t *testing.T, id, server string) {
	t.Helper()
	req := request(t, id, id+"@example.org")
	req.Admin.ID = "admin-" + id
	_, err := catalog.Of(f.reg).Reserve(t.Context(), catalog.Reservation{
		ID: req.ID, Database: f.prefix + id, Role: f.prefix + id, Server: server,
		SchemaHash: f.schema.Hash(), Password: tenancy.NewSecret("pw"),
		Organization: req.Organization, Admin: req.Admin, Owner: "dead", TTL: time.Microsecond,
	})
	must(t, err)
}

// TestLateStampOfASignUpIsRefused has two releases finish one sign-up: the stamp is that of the one which made the
// database.
func TestLateStampOfASignUpIsRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	old := f.provisioner(t)
	f.abandon(t, "acme", "one")
	was := f.schema.Hash()
	f.schema = &sqlSchema{build: members + ";" + notes}
	p, s := f.stamper(t)
	late := make(chan *provision.ReconcileReport, 1)
	go func() {
		pass, _ := p.Reconcile(t.Context())
		late <- pass
	}()
	pgtest.Receive(t, "the stamp is about to be given", s.reached)
	must(t, execute(t.Context(), f.regCfg.ConnConfig, "UPDATE pgtenancy.tenants SET claim_expires = now()"))
	f.reconcile(t, old, f.active("acme"))
	s.release()
	if pass := pgtest.Receive(t, "the late sign-up ends", late); len(pass.Finished) != 0 {
		t.Errorf("finished %v twice", pass.Finished)
	}
	if got := f.hash(t, "acme"); got != was {
		t.Errorf("stamped %s, the database was made from %s", got, was)
	}
}

// TestLateStampOfAnUpgradeIsRefused has an upgrade lose its lock before it gives the stamp, and a newer one go past it.
func TestLateStampOfAnUpgradeIsRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.create(t, f.provisioner(t), "acme")
	f.schema = &sqlSchema{build: members + ";" + notes, upgrade: notes}
	p, s := f.stamper(t)
	late := make(chan error, 1)
	go func() {
		_, err := p.Upgrade(t.Context(), "acme", provision.Policy{})
		late <- err
	}()
	pgtest.Receive(t, "the stamp is about to be given", s.reached)
	must(t, execute(t.Context(), f.admin, `SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a JOIN pg_locks l USING (pid)
		WHERE l.locktype = 'advisory' AND a.query LIKE '%`+f.prefix+`%'`))
	const more = "CREATE TABLE more (t text)"
	f.schema = &sqlSchema{build: members + ";" + notes + ";" + more, upgrade: more}
	_, err := f.provisioner(t).Upgrade(t.Context(), "acme", provision.Policy{})
	must(t, err)
	s.release()
	if err := pgtest.Receive(t, "the late upgrade ends", late); !errors.Is(err, registry.ErrConflict) {
		t.Errorf("the late upgrade: %v, want ErrConflict", err)
	}
	if got := f.hash(t, "acme"); got != f.schema.Hash() {
		t.Errorf("stamped %s over %s", got, f.schema.Hash())
	}
}
