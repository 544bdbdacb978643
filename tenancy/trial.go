package tenancy

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// trial is one attempt to connect, for the bulkhead. Only a tracer is told how such an attempt ends, so it takes the place of the user's
// tracer in the configuration of this one connection, and gives it back when the attempt begins: queries never meet it.
type trial struct {
	guard  *guard
	tracer pgx.QueryTracer // the user's; may be nil
	began  time.Duration
	login  login
}

// trialKey is the context's key for the trial that a dial belongs to.
type trialKey struct{}

var _ pgx.ConnectTracer = (*trial)(nil)

// TraceConnectStart puts the user's tracer back. pgx made data.ConnConfig for this connection alone.
func (t *trial) TraceConnectStart(ctx context.Context, data pgx.TraceConnectStartData) context.Context {
	data.ConnConfig.Tracer = t.tracer
	t.login.begin(data.ConnConfig)
	ctx = context.WithValue(ctx, trialKey{}, t)
	if user, ok := t.tracer.(pgx.ConnectTracer); ok {
		return user.TraceConnectStart(ctx, data)
	}
	return ctx
}

// TraceConnectEnd tells the guard, and the user's tracer.
func (t *trial) TraceConnectEnd(ctx context.Context, data pgx.TraceConnectEndData) {
	t.login.end(data.Err)
	t.guard.connected(t.began, data.Err)
	if user, ok := t.tracer.(pgx.ConnectTracer); ok {
		user.TraceConnectEnd(ctx, data)
	}
}

// TraceQueryStart makes t a [pgx.QueryTracer], as which alone a configuration takes it.
func (t *trial) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

// TraceQueryEnd is never called.
func (t *trial) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
