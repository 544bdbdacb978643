package registry_test

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
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// stop is where a process is stopped, or its host vanishes: to the registry it is silent from there on.
type stop struct {
	reached, over chan struct{}
	once          sync.Once
}

func newStop() *stop { return &stop{reached: make(chan struct{}), over: make(chan struct{})} }

func (s *stop) here() {
	s.once.Do(func() {
		close(s.reached)
		<-s.over
	})
}

func (s *stop) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	if strings.EqualFold(q.SQL, "COMMIT") {
		s.here()
	}
	return ctx
}

func (*stop) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// TestWhoFallsSilentInATransactionHoldsNobodyUp stops a process when it has locked all that it locks: the servers, the
// tenant, the feed, the turn.
func TestWhoFallsSilentInATransactionHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]func(ctx context.Context, f, silent *fixture, s *stop) error{
		"Reserve": func(ctx context.Context, _, silent *fixture, s *stop) error {
			res := reservation(t, "new")
			res.Place = func(servers []registry.Server) (string, error) {
				s.here()
				return servers[0].Name, nil
			}
			_, err := silent.Reserve(ctx, res)
			return err
		},
		"BeginDelete": func(ctx context.Context, _, silent *fixture, _ *stop) error {
			_, err := silent.BeginDelete(ctx, "acme", "silent", time.Minute)
			return err
		},
		"ClaimAbandoned": func(ctx context.Context, f, silent *fixture, _ *stop) error {
			_, err := f.BeginDelete(ctx, "acme", "dead", time.Nanosecond)
			if err == nil {
				_, err = silent.ClaimAbandoned(ctx, "silent", time.Minute, 10)
			}
			return err
		},
		"Forget": func(ctx context.Context, f, silent *fixture, _ *stop) error {
			c, err := f.BeginDelete(ctx, "acme", "owner", time.Minute)
			if err == nil {
				err = silent.Forget(ctx, c)
			}
			return err
		},
		"PutServer": func(ctx context.Context, _, silent *fixture, _ *stop) error {
			return silent.PutServer(ctx, registry.Server{Name: "s1", Host: "elsewhere", Port: 5432})
		},
		"Share": func(ctx context.Context, _, silent *fixture, _ *stop) error {
			_, err := silent.JoinBudget(ctx, &user{limit: map[string]int{}, open: map[string]int{}})
			return err
		},
		"RotateSession": func(ctx context.Context, f, silent *fixture, _ *stop) error {
			_, token, err := f.OpenSession(ctx, catalog.SessionRequest{TenantID: "acme", AdminID: "admin-acme", TTL: time.Hour})
			if err == nil {
				_, _, err = silent.RotateSession(ctx, token, time.Minute)
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.budgetOf(t, 10)
			f.active(t, "acme")
			f.active(t, "other")
			s := newStop()
			cfg := f.pool.Config()
			cfg.ConnConfig.Tracer = s
			reg := newRegistry(t, registry.Config{Pool: newPool(t, cfg), Keyring: newKeyring(t, 1)})
			silent := &fixture{Registry: reg, Catalog: catalog.Of(reg)}
			silent.SetIdleTimeout(300 * time.Millisecond)
			ended := make(chan error, 1)
			go func() { ended <- do(t.Context(), f, silent, s) }()
			wake := sync.OnceFunc(func() { close(s.over) })
			defer wake()
			stopped := true
			select {
			case <-s.reached:
			case err := <-ended: // it is never silent with a lock
				must(t, err)
				stopped = false
			}
			f.goOn(t)
			wake()
			if !stopped {
				return
			}
			var e interface{ HTTPStatus() int }
			if err := pgtest.Receive(t, "the call ends", ended); !errors.As(err, &e) || e.HTTPStatus() != 503 {
				t.Errorf("a silent session got %v, want the error of a broken connection", err)
			}
		})
	}
}

// goOn does what needs the locks of the others.
func (f *fixture) goOn(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, reserved := f.Reserve(ctx, reservation(t, "another"))
	_, claimed := f.ClaimAbandoned(ctx, "owner", time.Minute, 10)
	_, joined := f.JoinBudget(ctx, &user{limit: map[string]int{}, open: map[string]int{}})
	_, closed := f.pool.Exec(ctx, `DELETE FROM pgtenancy.sessions`)
	must(t, errors.Join(f.Suspend(ctx, "other"), reserved, claimed, joined, closed,
		f.PutServer(ctx, registry.Server{Name: "s1", Host: "db1.internal", Port: 5433})))
	if _, err := f.BeginDelete(ctx, "acme", "owner", time.Minute); err != nil &&
		!errors.Is(err, registry.ErrConflict) && !errors.Is(err, tenancy.ErrNotFound) {
		t.Error(err)
	}
}

// TestClaimAbandonedLeavesWhatIsLocked: a locked row does not keep other workers from the rest.
func TestClaimAbandonedLeavesWhatIsLocked(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, id := range []string{"locked", "free"} {
		f.reserve(t, id)
		f.expire(t, tenancy.ID(id))
	}
	tx, err := f.pool.Begin(t.Context())
	must(t, err)
	defer tx.Rollback(context.WithoutCancel(t.Context()))
	_, err = tx.Exec(t.Context(), `UPDATE pgtenancy.tenants SET step = 'x' WHERE id = 'locked'`)
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	claims, err := f.ClaimAbandoned(ctx, "owner", time.Minute, 10)
	must(t, err)
	if len(claims) != 1 || claims[0].Tenant.ID != "free" {
		t.Errorf("claimed %v", claims)
	}
}

// TestReserveLetsOthersReferToItsServers: it changes no server's name, so that no foreign key check waits for it.
func TestReserveLetsOthersReferToItsServers(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.budgetOf(t, 10)
	res := reservation(t, "acme")
	res.Place = func(servers []registry.Server) (string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if _, err := f.JoinBudget(ctx, &user{limit: map[string]int{}, open: map[string]int{}}); err != nil {
			t.Error(err)
		}
		return servers[0].Name, nil
	}
	_, err := f.Reserve(t.Context(), res)
	must(t, err)
}
