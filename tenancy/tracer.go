package tenancy

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/multitracer"
	"github.com/jackc/pgx/v5/pgxpool"
)

// tracer is how the budget learns what a pool does. It looks at connects, to tell them from cancel requests, which dial
// through the same function; at who acquires; and at releases. pgxpool has a hook for the latter, AfterRelease, but
// runs it in a goroutine of its own: a caller that asks for its next connection at once would not find the one it gave
// back, and dial.
type tracer struct{ sockets *sockets }

// with adds t to what the caller traces.
func (t *tracer) with(other pgx.QueryTracer) pgx.QueryTracer {
	if other == nil {
		return t
	}
	return multitracer.New(other, t)
}

// TraceConnectStart marks the context of a connect. Who acquires waits for that from here on, with time-outs of its
// own.
func (t *tracer) TraceConnectStart(ctx context.Context, _ pgx.TraceConnectStartData) context.Context {
	return context.WithValue(ctx, attemptKey{}, &attempt{permit: t.sockets.account.NewPermit(ctx)})
}

// TraceConnectEnd lifts the deadline of the connect from the socket, and lets others dial.
func (t *tracer) TraceConnectEnd(ctx context.Context, data pgx.TraceConnectEndData) {
	a, ok := ctx.Value(attemptKey{}).(*attempt)
	if !ok {
		return
	}
	if data.Err == nil && a.socket != nil {
		_ = a.socket.SetDeadline(time.Time{})
	}
	a.permit.ConnectEnded()
}

// TraceAcquireStart bounds the wait for a connection if the tenant may have none more. If the server is full, it waits
// for a connection of the tenant's own before pgxpool decides to dial. It lets the dial know for whom it is: pgxpool
// dials on for a caller that has left.
func (t *tracer) TraceAcquireStart(ctx context.Context, _ *pgxpool.Pool, _ pgxpool.TraceAcquireStartData) context.Context {
	return t.sockets.account.AcquireStarted(ctx, t.sockets.wait)
}

// TraceAcquireEnd ends what TraceAcquireStart began.
func (t *tracer) TraceAcquireEnd(ctx context.Context, _ *pgxpool.Pool, _ pgxpool.TraceAcquireEndData) {
	t.sockets.account.AcquireEnded(ctx)
}

// TraceRelease closes a connection that is due to somebody else; the pool then throws it away. That makes this release
// last about a millisecond.
func (t *tracer) TraceRelease(_ *pgxpool.Pool, data pgxpool.TraceReleaseData) {
	t.sockets.account.Released(data.Conn)
}

// TraceConnectStart and the like need a tracer of queries; this one does not look at them.

// TraceQueryStart does nothing.
func (t *tracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

// TraceQueryEnd does nothing.
func (t *tracer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
