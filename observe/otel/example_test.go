package tenancyotel_test

import (
	"log"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/trace"

	"github.com/pgtenancy/pgtenancy/observe/otel"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

func ExampleObserve() {
	provider := trace.NewTracerProvider() // with your exporter
	cfg := tenancy.Config{Observer: tenancyotel.Observe(tenancy.Observer{}, provider)}
	_ = cfg // for tenancy.New
}

func ExampleNewProducer() {
	export := func(resolver *tenancy.Resolver, exporter metric.Exporter) *metric.MeterProvider {
		producer, err := tenancyotel.NewProducer(tenancyotel.Config{Resolver: resolver})
		if err != nil {
			log.Fatal(err)
		}
		return metric.NewMeterProvider(metric.WithReader(
			metric.NewPeriodicReader(exporter, metric.WithProducer(producer))))
	}
	_ = export
}
