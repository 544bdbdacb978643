package tenancy_test

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// BenchmarkZipfOverBudget serves 200 tenants over 40 connections with 32 workers, and next to it the same requests with
// a connect for each. A tenant's first requests are the more expensive ones: give it seconds, not iterations.
func BenchmarkZipfOverBudget(b *testing.B) {
	const tenantCount, budget, workers = 200, 40, 32
	dir, base, _ := crowd(b, tenantCount)
	drive := func(b *testing.B, serve func(tenancy.ID) error) {
		var seed atomic.Int64
		var took latencies
		b.SetParallelism(workers / runtime.GOMAXPROCS(0))
		b.RunParallel(func(pb *testing.PB) {
			next := zipf(int(seed.Add(1)), tenantCount)
			for pb.Next() {
				begun := time.Now()
				if err := serve(next()); err != nil {
					b.Error(err)
				}
				took.add(time.Since(begun))
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
		b.ReportMetric(float64(took.at(0.5).Microseconds()), "p50-µs")
		b.ReportMetric(float64(took.at(0.99).Microseconds()), "p99-µs")
	}
	b.Run("budget", func(b *testing.B) {
		r := resolver(b, tenancy.Config{Directory: dir, Base: base, MaxConns: budget, BudgetWait: time.Minute})
		defer closeNow(b, r)
		drive(b, func(id tenancy.ID) error { return query(b, r, id) })
		b.ReportMetric(float64(pgStat(b, r).DialCount())*1000/float64(b.N), "dials/1000")
	})
	b.Run("connect", func(b *testing.B) {
		drive(b, func(id tenancy.ID) error {
			ctx := context.WithoutCancel(b.Context())
			cc := base.ConnConfig.Copy()
			cc.Database = dir.records[id].Endpoint.Database
			conn, err := pgx.ConnectConfig(ctx, cc)
			if err != nil {
				return err
			}
			_, err = conn.Exec(ctx, "select 1")
			return errors.Join(err, conn.Close(ctx))
		})
		b.ReportMetric(1000, "dials/1000")
	})
}

// BenchmarkWarmQuery compares one query on a leased pool with the same on a bare one.
func BenchmarkWarmQuery(b *testing.B) {
	dir, base, _ := crowd(b, 1)
	base.ConnConfig.Database = dir.records["t0"].Endpoint.Database
	bare, err := pgxpool.NewWithConfig(context.WithoutCancel(b.Context()), base)
	if err != nil {
		b.Fatal(err)
	}
	defer bare.Close()
	r := resolver(b, tenancy.Config{Directory: dir, Base: base})
	defer closeNow(b, r)
	for name, serve := range map[string]func() error{
		"bare":   func() error { _, err := bare.Exec(b.Context(), "select 1"); return err },
		"leased": func() error { return query(b, r, "t0") },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := serve(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
