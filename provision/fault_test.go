package provision_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/internal/failpoint"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// wires makes connections that can be broken all at once.
type wires struct {
	mu    sync.Mutex // guards conns
	conns []*net.TCPConn
}

// through makes cfg dial by w.
func (w *wires) through(cfg *pgconn.Config) {
	dial := cfg.DialFunc
	cfg.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if tcp, ok := conn.(*net.TCPConn); ok {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.conns = append(w.conns, tcp)
		}
		return conn, err
	}
}

// take returns the connections made since it was called last.
func (w *wires) take() []*net.TCPConn {
	w.mu.Lock()
	defer w.mu.Unlock()
	conns := w.conns
	w.conns = nil
	return conns
}

// cut breaks the connections on this side, without a farewell.
func (w *wires) cut(context.Context) error {
	for _, conn := range w.take() {
		_ = conn.SetLinger(0)
		_ = conn.Close()
	}
	return nil
}

// ports returns the ports on this side of the connections made since it, or take, was called last.
func (w *wires) ports() []int {
	ports := []int{}
	for _, conn := range w.take() {
		ports = append(ports, conn.LocalAddr().(*net.TCPAddr).Port)
	}
	return ports
}

// terminate ends the connections' backends.
func (w *wires) terminate(admin *pgx.ConnConfig) failpoint.Action {
	return func(ctx context.Context) error {
		list := strings.Trim(strings.ReplaceAll(fmt.Sprint(w.ports()), " ", ","), "[]")
		return execute(context.WithoutCancel(ctx), admin,
			"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE client_port = ANY('{"+list+"}')")
	}
}

// victim is a provisioner that is hurt at points, and everything that it is hurt by.
type victim struct {
	*provision.Provisioner
	points *failpoint.Set
	wires  *wires
	pool   *pgxpool.Pool      // of its registry
	cancel context.CancelFunc // of what it is doing now
}

func (f *fixture) victim(t *testing.T) *victim {
	t.Helper()
	v := &victim{points: failpoint.New(), wires: &wires{}}
	admin, regCfg := f.admin.Copy(), f.regCfg.Copy()
	v.wires.through(&admin.Config)
	v.wires.through(&regCfg.ConnConfig.Config)
	v.pool = poolOf(t, regCfg)
	v.Provisioner = f.provisioner(t, func(c *provision.Config) {
		c.Admin, c.Registry, c.ClaimTTL = admin, openRegistryOn(t, v.pool), crashTTL
		c.SideEffects = ledger{v.pool}.steps(v.points)
		c.SetFailpoints(v.points)
	})
	return v
}

// ways are the ways in which a victim is hurt, but for SIGKILL.
func (f *fixture) ways(v *victim) map[string]failpoint.Action {
	return map[string]failpoint.Action{
		"error":     failpoint.Error(errBroken),
		"panic":     failpoint.Panic(errBroken),
		"cancel":    func(context.Context) error { v.cancel(); return nil },
		"cut":       v.wires.cut,
		"terminate": v.wires.terminate(f.admin),
	}
}

// TestFaultLeavesWholeTenantsOrNothing hurts sign-ups and deletions in each way at each point; in the short form, at
// each point in one way.
func TestFaultLeavesWholeTenantsOrNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	run(t, f.rescuer(t)) // from the beginning, or there is more to end at last than settle waits for
	v := f.victim(t)
	ways := f.ways(v)
	names := []string{"error", "panic", "cancel", "cut", "terminate"}
	said, n := answers{}, 0
	for round := range pgtest.Size(1, 6*len(names)) {
		for i, point := range slices.Concat(signUpPoints, failPoints, dropPoints) {
			way := names[(round+i)%len(names)]
			if way == "panic" && strings.HasSuffix(point, "fail") {
				way = "error" // nothing there calls the caller's code
			}
			n++
			f.hurt(t, v, said, fmt.Sprintf("f%d", n), point, way, ways[way])
		}
	}
	f.settle(t)
	c := f.takeCensus(t)
	lost := c.check(t, said)
	pgtest.Figure(t, "P3", "%d faults in %d ways at %d points: %d answered, %d lost, %d whole, %d flaws",
		n, len(names), len(signUpPoints)+len(failPoints)+len(dropPoints), len(said["made"]), lost, len(c.active),
		len(c.flaws))
}

// hurt makes one tenant, or makes and drops it, and hurts it at point.
func (f *fixture) hurt(t *testing.T, v *victim, said answers, id, point, way string, a failpoint.Action) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	v.cancel = cancel
	v.wires.take()
	before := v.points.Hits(point)
	v.points.On(point, failpoint.Once(a))
	if slices.Contains(failPoints, point) {
		v.points.On("before seed", failpoint.Error(errBroken))
	}
	result, err := v.create(ctx, request(t, id, "x"+id+"@example.org"))
	if slices.Contains(dropPoints, point) && errors.Is(err, catalog.ErrClaimLost) {
		t.Logf("%s: %v", id, err) // a busy machine after a crash: it is the deletion that is to be hurt
		id += "-again"
		result, err = v.create(ctx, request(t, id, "x"+id+"@example.org"))
	}
	if err == nil {
		said["made"] = append(said["made"], string(result.Tenant.ID))
	}
	if slices.Contains(dropPoints, point) {
		must(t, err)
		said["dropping"] = append(said["dropping"], id)
		if err := guarded(func() error { return v.Drop(ctx, tenancy.ID(id)) }); err == nil {
			said["gone"] = append(said["gone"], id)
		}
	}
	if v.points.Hits(point) == before {
		t.Errorf("%s was not reached", point)
	}
	v.points.On(point, nil)
	v.points.On("before seed", nil)
	v.pool.Reset() // of what was broken
	t.Logf("%s %s: %v", way, point, err)
}

func (v *victim) create(ctx context.Context, req provision.Request) (result *provision.Result, err error) {
	err = guarded(func() (err error) { result, err = v.Create(ctx, req); return err })
	return result, err
}

// guarded turns a panic into an error: of a handler of requests, the server does the same.
func guarded(f func() error) (err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("panic")
		}
	}()
	return f()
}
