package tenancy

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// attempt is one attempt to connect. Only a tracer is told how such an attempt ends, so it takes the place of the user's
// tracer in the configuration of this one connection, and gives it back when the attempt begins: queries never meet it.
type attempt struct {
	guard  *guard
	tracer pgx.QueryTracer // the user's; may be nil
	began  time.Duration
}

var _ pgx.ConnectTracer = (*attempt)(nil)

// TraceConnectStart puts the user's tracer back. pgx made data.ConnConfig for this connection alone.
func (a *attempt) TraceConnectStart(ctx context.Context, data pgx.TraceConnectStartData) context.Context {
	data.ConnConfig.Tracer = a.tracer
	if t, ok := a.tracer.(pgx.ConnectTracer); ok {
		return t.TraceConnectStart(ctx, data)
	}
	return ctx
}

// TraceConnectEnd tells the guard, and the user's tracer.
func (a *attempt) TraceConnectEnd(ctx context.Context, data pgx.TraceConnectEndData) {
	a.guard.connected(a.began, data.Err)
	if t, ok := a.tracer.(pgx.ConnectTracer); ok {
		t.TraceConnectEnd(ctx, data)
	}
}

// TraceQueryStart makes a an [pgx.QueryTracer], as which alone a configuration takes it.
func (a *attempt) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

// TraceQueryEnd is never called.
func (a *attempt) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
