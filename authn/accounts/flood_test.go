package accounts_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/authn/accounts"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
)

// TestFloodOfSignInsIsShedAndOthersAreServed hashes with the parameters of production. Each hash takes 19 MiB: without
// the hasher's bound all of them would have theirs at once. One at a time is the default on two CPUs.
func TestFloodOfSignInsIsShedAndOthersAreServed(t *testing.T) {
	h := newHouse(t, func(c *accounts.Config) {
		c.MinRefusal = -1
		c.Hasher = must(authn.NewHasher(authn.HasherConfig{Concurrency: 1, Queue: pgtest.Size(8, 64)}))(t)
	})
	s := h.signUp(t, "ada@example.org")
	query := func() error {
		return h.Resolver.AcquireFunc(t.Context(), s.Tenant.ID, func(ctx context.Context, db *pgxpool.Pool) error {
			var n int
			return db.QueryRow(ctx, `SELECT count(*) FROM admins`).Scan(&n)
		})
	}
	quiet := h.serve(t, query, nil)
	runtime.GC()
	before := h.heap()

	flood := pgtest.Size(40, 500)
	var looked, shed, other atomic.Int64
	var all sync.WaitGroup
	over := make(chan struct{})
	for i := range flood {
		all.Go(func() {
			_, err := h.SignIn(t.Context(), wrong(fmt.Sprintf("nobody%d@example.org", i)))
			switch {
			case errors.Is(err, accounts.ErrBadCredentials):
				looked.Add(1)
			case errors.Is(err, authn.ErrBusy):
				shed.Add(1)
			default:
				other.Add(1)
				t.Error(err)
			}
		})
	}
	go func() {
		pgtest.Wait(t, "every sign-in ends", all.Wait)
		close(over)
	}()
	busy := h.serve(t, query, over)
	grown := float64(busy.peak) - float64(before)
	grown /= 1 << 20
	defer pgtest.Figure(t, "S5",
		"%d sign-ins at once: %d looked at, %d shed, %d else; the heap grew by %.0f MiB at most; of %d "+
			"queries meanwhile %d failed, p50 %v (%v before), p99 %v (%v)", flood, looked.Load(), shed.Load(), other.Load(),
		grown, busy.queries,
		busy.failed, quantile(busy.took, 0.5).Round(time.Microsecond), quantile(quiet.took, 0.5).Round(time.Microsecond),
		quantile(busy.took, 0.99).Round(time.Microsecond), quantile(quiet.took, 0.99).Round(time.Microsecond))
	if grown > 100 {
		t.Errorf("the heap grew by %.0f MiB", grown)
	}
	if looked.Load() == 0 || shed.Load() == 0 {
		t.Error("all or none were shed: the flood shows nothing")
	}
	if busy.failed > 0 || quiet.failed > 0 || busy.queries == 0 {
		t.Errorf("%d of %d queries failed", busy.failed, busy.queries)
	}
}

// service is what became of queries, and the largest heap meanwhile.
type service struct {
	queries, failed int
	took            []time.Duration
	peak            uint64
}

// serve asks query two hundred times a second until over is closed; without that, fifty times.
func (h *house) serve(t *testing.T, query func() error, over <-chan struct{}) (s service) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for s.queries < 50 || over != nil {
		select {
		case <-over:
			return s
		case <-tick.C:
		}
		start := time.Now()
		if err := query(); err != nil {
			s.failed++
			t.Log(err)
		}
		s.queries++
		s.took = append(s.took, time.Since(start))
		s.peak = max(s.peak, h.heap())
	}
	return s
}

// heap is what the program has of memory for its objects, the dead ones too that are not collected yet.
func (*house) heap() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}

// TestFloodStaysOffTheRegistry guards the registry's pool, which other requests need too: of five hundred sign-ins at
// once each took a connection of it, and the shed ones took it twice.
func TestFloodStaysOffTheRegistry(t *testing.T) {
	t.Run("while as many are at it as may wait", func(t *testing.T) {
		h := newHouse(t, func(c *accounts.Config) { c.MinRefusal = -1 })
		h.flood(t, "throttles", accounts.ErrBadCredentials, func(i int) error {
			_, err := h.SignIn(t.Context(), wrong(fmt.Sprintf("nobody%d@example.org", i)))
			return err
		})
	})
	t.Run("of refresh tokens that are none", func(t *testing.T) {
		h := newHouse(t)
		token := h.signUp(t, "ada@example.org").RefreshToken.Reveal()
		h.flood(t, "sessions", accounts.ErrInvalidSession, func(int) error {
			_, err := h.Refresh(t.Context(), strings.Repeat("a", 26)+token[26:])
			return err
		})
		_ = must(h.Refresh(t.Context(), token))(t)
	})
	t.Run("while no hash may wait", func(t *testing.T) {
		hasher := must(authn.NewHasher(authn.HasherConfig{MemoryKiB: 64 << 10, Time: 10, Concurrency: 1, Queue: -1}))(t)
		h := newHouse(t, func(c *accounts.Config) { c.Hasher = hasher })
		hashed := make(chan struct{})
		go func() {
			defer close(hashed)
			_ = hasher.Spend(t.Context(), password)
		}()
		for !hasher.Full() {
			runtime.Gosched()
		}
		before := h.Catalog.Stat().AcquireCount()
		_, signIn := h.SignIn(t.Context(), wrong("nobody@example.org"))
		up := form("ada@example.org")
		up.Addr = netip.MustParseAddr("192.0.2.1") // counted, in the registry
		_, signUp := h.SignUp(t.Context(), up)
		took := h.Catalog.Stat().AcquireCount() - before
		if !errors.Is(signIn, authn.ErrBusy) || !errors.Is(signUp, authn.ErrBusy) || took != 0 {
			t.Errorf("sign-in %v, sign-up %v, after %d connections of the registry, want ErrBusy after none", signIn, signUp,
				took)
		}
		pgtest.Receive(t, "a password is hashed", hashed)
	})
}

// flood makes two hundred requests while a table that each of them needs is locked. Sixty-four wait for it, and are
// refused with want when it is free; the others are shed at once.
func (h *house) flood(t *testing.T, table string, want error, request func(i int) error) {
	t.Helper()
	tx := must(h.Catalog.Begin(t.Context()))(t)
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	if _, err := tx.Exec(t.Context(), "LOCK TABLE pgtenancy."+table); err != nil {
		t.Fatal(err)
	}
	const all, most = 200, 64
	answers := make(chan error, all)
	for i := range all {
		go func() { answers <- request(i) }()
	}
	for range all - most {
		if err := pgtest.Receive(t, "a sign-in ends", answers); !errors.Is(err, authn.ErrBusy) {
			t.Errorf("with %d at the registry: %v, want ErrBusy", most, err)
		}
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range most {
		if err := pgtest.Receive(t, "a sign-in ends", answers); !errors.Is(err, want) {
			t.Errorf("after it answered: %v, want %v", err, want)
		}
	}
}
