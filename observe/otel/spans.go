package tenancyotel

import (
	"context"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Observe returns next with functions that make spans of provider and then call next's. The spans are
//
//	tenancy.acquire  in the span of Acquire's ctx: an Acquire that waited
//	tenancy.lookup   without a parent: a question to the directory, which may be for several Acquires
//	tenancy.dial     in the span of the query that needed a connection: network, TLS, login and fence
//
// Each has the attribute tenant.id, and a dial has pgtenancy.server. A span that ended in an error has its text, in
// which the library puts no secret and no row.
func Observe(next tenancy.Observer, provider trace.TracerProvider) tenancy.Observer {
	tracer := provider.Tracer(scope)
	record := func(ctx context.Context, name string, id tenancy.ID, took time.Duration, err error,
		attributes ...attribute.KeyValue,
	) {
		end := time.Now()
		_, span := tracer.Start(ctx, name, trace.WithTimestamp(end.Add(-took)), trace.WithSpanKind(trace.SpanKindClient),
			trace.WithAttributes(attribute.String("tenant.id", strings.Clone(string(id)))),
			trace.WithAttributes(attributes...))
		if err != nil {
			span.SetStatus(codes.Error, err.Error())
		}
		span.End(trace.WithTimestamp(end))
	}
	acquired, lookedUp, dialled := next.AcquireWaited, next.LookedUp, next.Dialled
	next.AcquireWaited = func(ctx context.Context, id tenancy.ID, took time.Duration, err error) {
		record(ctx, "tenancy.acquire", id, took, err)
		if acquired != nil {
			acquired(ctx, id, took, err)
		}
	}
	next.LookedUp = func(id tenancy.ID, took time.Duration, err error) {
		record(context.Background(), "tenancy.lookup", id, took, err)
		if lookedUp != nil {
			lookedUp(id, took, err)
		}
	}
	next.Dialled = func(ctx context.Context, id tenancy.ID, server string, took time.Duration, err error) {
		record(ctx, "tenancy.dial", id, took, err, attribute.String("pgtenancy.server", server))
		if dialled != nil {
			dialled(ctx, id, server, took, err)
		}
	}
	return next
}
