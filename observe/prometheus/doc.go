// Package tenancyprom exports the figures of pgtenancy to Prometheus.
//
// A [Collector] reads the snapshots of a resolver, a provisioner and a registry when it is scraped; between scrapes it
// costs nothing. It has no label for tenants, whose number has no bound, unless Config.WorstTenants asks for a few.
// dashboard.json is a dashboard for Grafana, alerts.yaml has rules for Prometheus; a test makes sure that every metric
// they name is in a scrape.
//
// Begin at collector.go.
package tenancyprom
