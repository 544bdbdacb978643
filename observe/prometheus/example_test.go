package tenancyprom_test

import (
	"log"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/pgtenancy/pgtenancy/observe/prometheus"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

func ExampleNew() {
	serve := func(mux *http.ServeMux, resolver *tenancy.Resolver) {
		collector, err := tenancyprom.New(tenancyprom.Config{Resolver: resolver})
		if err != nil {
			log.Fatal(err)
		}
		metrics := prometheus.NewRegistry()
		metrics.MustRegister(collector)
		mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	}
	_ = serve
}

func ExampleNewWorst() {
	worst := tenancyprom.NewWorst(10)
	cfg := tenancy.Config{Observer: worst.Observe(tenancy.Observer{})}
	_ = cfg // for tenancy.New; and worst for Config.WorstTenants
}
