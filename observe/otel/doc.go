// Package tenancyotel gives the waits of a pgtenancy resolver to OpenTelemetry as spans, and the figures of a resolver,
// a provisioner and a registry as metrics.
//
// [Observe] adds spans to a resolver's Observer: for each Acquire that waited, each look-up in the directory and each
// connect, with the attribute tenant.id and without SQL. A hit costs nothing. A [Producer] reads snapshots when its
// reader collects; no tenant is an attribute of a metric.
//
// Queries have spans if Base.ConnConfig.Tracer is one of pgx's tracers, such as otelpgx.
//
// Begin at spans.go, then metrics.go.
package tenancyotel

const scope = "github.com/pgtenancy/pgtenancy/observe/otel"
