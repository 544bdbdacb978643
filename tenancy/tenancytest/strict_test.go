package tenancytest_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/tenancy"
	"github.com/pgtenancy/pgtenancy/tenancy/tenancytest"
)

// auditLater uses the pool of a request when the request has ended, as a goroutine does that a handler starts.
func auditLater(ctx context.Context, pool *pgxpool.Pool) error {
	_, err := pool.Exec(ctx, "INSERT INTO notes (text) VALUES ('seen')")
	return err
}

func TestStrictFailsATestThatUsesAPoolAfterItsLease(t *testing.T) {
	t.Parallel()
	for name, strict := range map[string]bool{"strict": true, "not strict": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var err error
			got := reported(t, func(tb testing.TB) {
				cfg := notesConfig()
				cfg.Strict = strict
				fleet := tenancytest.New(tb, cfg)
				fleet.Tenant(tb).Lease(tb) // another tenant's lease is none of this tenant's
				var pool *pgxpool.Pool
				if err = fleet.Resolver.AcquireFunc(t.Context(), fleet.Tenant(tb).ID(),
					func(ctx context.Context, p *pgxpool.Pool) error {
						pool = p
						return p.Ping(ctx)
					}); err != nil {
					tb.Fatal(err)
				}
				err = auditLater(t.Context(), pool)
			})
			if errors.Is(err, tenancy.ErrReleased) != strict {
				t.Errorf("the query after the release: %v", err)
			}
			if strings.Contains(got, "auditLater") != strict || strings.Contains(got, "pool used after Release") != strict {
				t.Errorf("the test reports %q", got)
			}
		})
	}
}

func TestStrictLeavesRightUseAlone(t *testing.T) {
	t.Parallel()
	cfg := notesConfig()
	cfg.Strict = true
	seen := make(chan struct{}, 1000)
	cfg.Resolver = func(cfg *tenancy.Config) {
		cfg.MaxConns, cfg.MaxConnsPerTenant = 1, 1 // so that connections are taken from idle pools
		cfg.Base.ConnConfig.Tracer = tracer(seen)
		cfg.Attach = func(ctx context.Context, _ tenancy.Tenant, pool *pgxpool.Pool) (any, func(), error) {
			return nil, nil, pool.Ping(ctx) // before the first lease
		}
	}
	fleet := tenancytest.New(t, cfg)
	h := service(t, fleet.Resolver)
	a, b := fleet.Tenant(t).ID(), fleet.Tenant(t).ID()
	for range 5 {
		for _, id := range []tenancy.ID{a, b} {
			if code, _ := get(t, h, id); code != http.StatusOK {
				t.Errorf("status %d", code)
			}
		}
		fleet.Resolver.Renew(a)
		fleet.EvictAll()
	}
	pgtest.Eventually(t, "pools drain", func() bool { return fleet.Resolver.Stat().DrainingPools() == 0 })
	if len(seen) == 0 {
		t.Error("Strict has replaced the tracer of the test")
	}
}

// tracer notes queries.
type tracer chan struct{}

func (t tracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	t <- struct{}{}
	return ctx
}

func (tracer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
