package tenancy

import (
	"context"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/multitracer"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/connbudget"
)

// connectAttempt is one connect of a pool, from BeforeConnect to the end of pgx's start-up; doc.go has a drawing. The
// context of the connect carries it, so that each dial finds it.
//
// pgx reports the result of a connect only to a tracer, so the attempt takes the place of the pool's tracer in the
// configuration of this one connection, and restores it when the connect begins: queries never see it.
type connectAttempt struct {
	sockets *sockets
	guard   *guard // nil for a connect made with a copy of the pool's configuration
	tracer  pgx.QueryTracer
	began   time.Duration
	retry   passwordRetry

	waited  time.Duration // for the permit
	dialled bool

	permit *connbudget.Permit // set by poolTracer.TraceConnectStart
	socket net.Conn           // the last one dialled
}

var _ pgx.ConnectTracer = (*connectAttempt)(nil)

type attemptKey struct{}

// attemptData is the key under which a new connection carries its attempt to AfterConnect.
const attemptData = "pgtenancy.attempt"

func attemptOf(ctx context.Context) (*connectAttempt, bool) {
	a, ok := ctx.Value(attemptKey{}).(*connectAttempt)
	return a, ok
}

func (a *connectAttempt) newContext(ctx context.Context) context.Context {
	return context.WithValue(ctx, attemptKey{}, a)
}

// TraceConnectStart restores the pool's tracer. pgx made data.ConnConfig for this connection alone.
func (a *connectAttempt) TraceConnectStart(ctx context.Context, data pgx.TraceConnectStartData) context.Context {
	data.ConnConfig.Tracer = a.tracer
	a.retry.begin(data.ConnConfig)
	ctx = a.newContext(ctx)
	if next, ok := a.tracer.(pgx.ConnectTracer); ok {
		return next.TraceConnectStart(ctx, data)
	}
	return ctx
}

// dial connects to one address. An attempt that waited for its permit while the breaker opened does not dial.
func (a *connectAttempt) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	s := a.sockets
	if err := a.retry.beforeDial(ctx, addr); err != nil {
		return nil, err
	}
	asked := time.Now()
	err := a.permit.Take(ctx, s.wait)
	a.waited += time.Since(asked)
	if err != nil {
		return nil, err
	}
	if a.guard != nil {
		if err := a.guard.bulkhead.recheck(a.began); err != nil {
			a.permit.GiveBack()
			return nil, err
		}
	}
	bounded, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	a.dialled = true
	conn, err := s.baseDial(bounded, network, addr)
	if err != nil {
		a.permit.GiveBack()
		return nil, err
	}
	deadline, _ := bounded.Deadline()
	_ = conn.SetDeadline(deadline) // until the connect ends
	a.socket = conn
	return s.add(conn, a.permit), nil
}

// TraceConnectEnd reports the result to the guard and to the pool's tracer.
func (a *connectAttempt) TraceConnectEnd(ctx context.Context, data pgx.TraceConnectEndData) {
	a.retry.end(data.Err)
	a.guard.connectEnded(a.began, data.Err)
	if data.Err != nil {
		a.guard.dialEnded(ctx, a, data.Err)
	} else {
		data.Conn.PgConn().CustomData()[attemptData] = a // until AfterConnect
	}
	if next, ok := a.tracer.(pgx.ConnectTracer); ok {
		next.TraceConnectEnd(ctx, data)
	}
}

// end lifts the deadline of the connect from the socket, and lets another connect begin.
func (a *connectAttempt) end(err error) {
	if err == nil && a.socket != nil {
		_ = a.socket.SetDeadline(time.Time{})
	}
	a.permit.ConnectEnded()
}

// TraceQueryStart makes a a [pgx.QueryTracer], the type of a configuration's tracer. It is never called.
func (a *connectAttempt) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

// TraceQueryEnd is never called.
func (a *connectAttempt) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// poolTracer reports acquires, connects and releases of one pool to its budget. AfterRelease is not used for releases:
// pgxpool calls it in another goroutine, so a caller that immediately acquires again would not find the released
// connection and would dial.
type poolTracer struct{ sockets *sockets }

// with adds t to what the caller traces.
func (t *poolTracer) with(other pgx.QueryTracer) pgx.QueryTracer {
	if other == nil {
		return t
	}
	return multitracer.New(other, t)
}

// TraceConnectStart gives a connect its permit. The attempt in the context tells its dials from those of cancel
// requests: both call the same DialFunc. A connect made with a copy of the pool's configuration, by Pool().Config(),
// gets an attempt here, even if its context comes from a connect of the pool's.
func (t *poolTracer) TraceConnectStart(ctx context.Context, _ pgx.TraceConnectStartData) context.Context {
	a, ok := attemptOf(ctx)
	if !ok || a.permit != nil {
		a = &connectAttempt{sockets: t.sockets}
		ctx = a.newContext(ctx)
	}
	a.permit = t.sockets.account.NewPermit(ctx)
	return ctx
}

// TraceConnectEnd ends the attempt after the caller's tracer has seen the result.
func (t *poolTracer) TraceConnectEnd(ctx context.Context, data pgx.TraceConnectEndData) {
	if a, ok := attemptOf(ctx); ok {
		a.end(data.Err)
	}
}

// TraceAcquireStart may wait: see [connbudget.Account.AcquireStarted].
func (t *poolTracer) TraceAcquireStart(ctx context.Context, _ *pgxpool.Pool,
	_ pgxpool.TraceAcquireStartData,
) context.Context {
	return t.sockets.account.AcquireStarted(ctx, t.sockets.wait)
}

// TraceAcquireEnd ends what TraceAcquireStart began.
func (t *poolTracer) TraceAcquireEnd(ctx context.Context, _ *pgxpool.Pool, _ pgxpool.TraceAcquireEndData) {
	t.sockets.account.AcquireEnded(ctx)
}

// TraceRelease may close the connection, for another tenant: see [connbudget.Account.Released].
func (t *poolTracer) TraceRelease(_ *pgxpool.Pool, data pgxpool.TraceReleaseData) {
	t.sockets.account.Released(data.Conn)
}

// TraceQueryStart makes t a [pgx.QueryTracer], the type of a configuration's tracer. It does nothing.
func (t *poolTracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

// TraceQueryEnd does nothing.
func (t *poolTracer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
