package tenancy

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/multitracer"
	"github.com/jackc/pgx/v5/pgxpool"
)

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

// TraceConnectStart gives a connect its permit. The attempt in the context tells its dials from those of cancel requests:
// both call the same DialFunc. A connect made with a copy of the pool's configuration, by Pool().Config(), gets an attempt
// here, even if its context comes from a connect of the pool's.
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
func (t *poolTracer) TraceAcquireStart(ctx context.Context, _ *pgxpool.Pool, _ pgxpool.TraceAcquireStartData) context.Context {
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
