package tenancy_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// network is what the dials of a test meet.
type network struct {
	mu    sync.Mutex
	mode  map[string]string // by address: "refuse", "hang", or the SQLSTATE of the refusal
	dials map[string]int
	now   int // under way
	most  int
}

func (n *network) set(addr, mode string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.mode[addr] = mode
}

func (n *network) dialled(addr string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dials[addr]
}

func (n *network) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	n.mu.Lock()
	mode := n.mode[addr]
	n.dials[addr]++
	n.now++
	n.most = max(n.most, n.now)
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		n.now--
		n.mu.Unlock()
	}()
	switch mode {
	case "refuse":
		return nil, syscall.ECONNREFUSED
	case "hang":
		<-ctx.Done()
		return nil, ctx.Err()
	}
	client, server := net.Pipe()
	go func() {
		defer server.Close()
		backend := pgproto3.NewBackend(server, server)
		if _, err := backend.ReceiveStartupMessage(); err == nil {
			backend.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: mode})
			_ = backend.Flush()
		}
	}()
	return client, nil
}

const (
	sick = "10.0.0.1:5432"
	well = "10.0.0.2:5432"
)

// bulkheads makes a resolver with the tenants s0… on the server at sick, and w0… on the one at well.
func bulkheads(t *testing.T, cfg tenancy.Config) (*tenancy.Resolver, *network) {
	n := &network{mode: map[string]string{sick: "refuse", well: "28P01"}, dials: map[string]int{}}
	dir := newTenants()
	for i := range 20 {
		for prefix, host := range map[string]string{"s": "10.0.0.1", "w": "10.0.0.2"} {
			rec := tenant(tenancy.ID(fmt.Sprint(prefix, i)), 1)
			rec.Endpoint.Host = host
			dir.put(rec)
		}
	}
	cfg.Directory, cfg.Base = dir, undialled()
	cfg.Base.ConnConfig.DialFunc = n.dial
	return resolver(t, cfg), n
}

// attempts queries each of the tenants prefix0… at once and counts the answers.
func attempts(t *testing.T, r *tenancy.Resolver, prefix string, count int) (down, refused, other int) {
	t.Helper()
	var d, p, o atomic.Int64
	var wg sync.WaitGroup
	for i := range count {
		wg.Go(func() {
			err := query(t, r, tenancy.ID(fmt.Sprint(prefix, i)))
			var pg *pgconn.PgError
			switch {
			case errors.Is(err, tenancy.ErrServerDown):
				d.Add(1)
			case errors.As(err, &pg):
				p.Add(1)
			default:
				o.Add(1)
			}
		})
	}
	wg.Wait()
	return int(d.Load()), int(p.Load()), int(o.Load())
}

func TestBreakerOpensForOneServerAndTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r, n := bulkheads(t, tenancy.Config{Observer: tenancy.Observer{
			ServerDown: func(s string, err error) { j.add("down %s: %v", s, err) },
			ServerUp:   func(s string) { j.add("up %s", s) },
		}})
		defer closeNow(t, r)
		if _, _, other := attempts(t, r, "s", 5); other != 5 {
			t.Errorf("%d of the first 5 attempts failed by themselves", other)
		}
		start := time.Now()
		if down, _, _ := attempts(t, r, "s", 20); down != 20 || n.dialled(sick) != 5 || time.Since(start) != 0 {
			t.Errorf("open: %d of 20 got ErrServerDown, %d dials, %v", down, n.dialled(sick), time.Since(start))
		}
		if _, refused, _ := attempts(t, r, "w", 20); refused != 20 {
			t.Errorf("another server: %d of 20 got an answer", refused)
		}
		for _, s := range r.Stat().Servers() {
			down := s.Name() == sick
			if s.Down() != down || down && (s.DownCount() != 1 || s.BreakerRejectCount() != 20) ||
				!down && s.BreakerRejectCount() != 0 {
				t.Errorf("%s: down %v, %d times, %d turned away", s.Name(), s.Down(), s.DownCount(), s.BreakerRejectCount())
			}
		}
		for range 10 { // one try after each pause
			before := n.dialled(sick)
			time.Sleep(2 * time.Second)
			if down, _, other := attempts(t, r, "s", 20); down != 19 || other != 1 || n.dialled(sick) != before+1 {
				t.Errorf("after a pause: %d down, %d tried, %d dials", down, other, n.dialled(sick)-before)
			}
		}
		n.set(sick, "28P01")
		time.Sleep(2 * time.Second)
		attempts(t, r, "s", 1)
		if _, refused, _ := attempts(t, r, "s", 20); refused != 20 {
			t.Errorf("back: %d of 20 got an answer", refused)
		}
		if slices.ContainsFunc(r.Stat().Servers(), tenancy.ServerStat.Down) {
			t.Error("a server that is back counts as down")
		}
		got := j.read()
		if len(got) != 2 || got[0] != "down "+sick+": connect: connection refused" || got[1] != "up "+sick {
			t.Errorf("observer: %q", got)
		}
	})
}

func TestHangingServerHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, n := bulkheads(t, tenancy.Config{MaxDialsPerServer: 8})
		defer closeNow(t, r)
		n.set(sick, "hang")
		start := time.Now()
		done := make(chan struct{})
		go func() {
			attempts(t, r, "s", 20)
			close(done)
		}()
		synctest.Wait()
		if n.now != 8 {
			t.Errorf("%d dials are under way, want 8", n.now)
		}
		if _, refused, _ := attempts(t, r, "w", 20); refused != 20 || time.Since(start) != 0 {
			t.Errorf("another server: %d of 20 got an answer, after %v", refused, time.Since(start))
		}
		// The first 8 end at the connect time-out, which opens the breaker for callers that wait for a dial. Up to 4 of
		// them may have begun to dial before the fifth failure was counted.
		<-done
		if took := time.Since(start); took > 10*time.Second || n.dialled(sick) > 12 {
			t.Errorf("took %v, %d dials", took, n.dialled(sick))
		}
		// A try that hangs does not keep the next from beginning: once the server is back, 2 s are enough.
		time.Sleep(2 * time.Second)
		go attempts(t, r, "s", 1)
		synctest.Wait()
		n.set(sick, "28P01")
		time.Sleep(2 * time.Second)
		if _, refused, _ := attempts(t, r, "s", 1); refused != 1 {
			t.Error("the try that hangs holds up the next")
		}
		time.Sleep(time.Minute)
	})
}

func TestErrorsOfOneTenantOpenNoBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, n := bulkheads(t, tenancy.Config{TTL: -1})
		defer closeNow(t, r)
		for _, code := range []string{"28P01", "28000", "3D000", "42501", "55000", "53300", "08P01"} {
			n.set(sick, code)
			if _, refused, _ := attempts(t, r, "s", 20); refused != 20 {
				t.Errorf("%s: %d of 20 reached the server", code, refused)
			}
		}
		for _, code := range []string{"57P03", "57P01", "08006"} {
			n.set(sick, code)
			attempts(t, r, "s", 8)
			if down, _, _ := attempts(t, r, "s", 20); down != 20 {
				t.Errorf("%s: %d of 20 got ErrServerDown", code, down)
			}
			n.set(sick, "28P01")
			time.Sleep(2 * time.Second)
			attempts(t, r, "s", 1)
		}
	})
}

func TestNegativeLimitsAreNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, n := bulkheads(t, tenancy.Config{BreakerThreshold: -1, MaxDialsPerServer: -1})
		defer closeNow(t, r)
		n.set(sick, "hang")
		for range 2 {
			attempts(t, r, "s", 20)
		}
		if n.dialled(sick) != 40 || n.most != 20 {
			t.Errorf("%d dials, %d at once", n.dialled(sick), n.most)
		}
	})
}

func TestConfigOfAPoolIsNotTouchedByItsConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := bulkheads(t, tenancy.Config{})
		defer closeNow(t, r)
		err := r.AcquireFunc(t.Context(), "s0", func(ctx context.Context, pool *pgxpool.Pool) error {
			_ = pool.Ping(ctx)
			if tracer := fmt.Sprintf("%T", pool.Config().ConnConfig.Tracer); strings.Contains(tracer, "connectAttempt") {
				t.Error("the tracer of one connection was left in the configuration")
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}
