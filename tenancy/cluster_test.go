package tenancy_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// cluster is a PostgreSQL server of one test's own, for what would disturb the others: it is restarted, full, or read
// only. It has the role "app", which all its tenants are.
type cluster struct{ *pgtest.Cluster }

func newCluster(t *testing.T, cfg pgtest.ClusterConfig) *cluster {
	t.Helper()
	c := &cluster{pgtest.NewCluster(t, cfg)}
	c.exec(t, "CREATE ROLE app LOGIN PASSWORD 'pw'")
	return c
}

func (c *cluster) connect(t testing.TB) *pgx.Conn {
	t.Helper()
	conn, err := pgx.ConnectConfig(t.Context(), c.Admin())
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func (c *cluster) exec(t testing.TB, statements ...string) {
	t.Helper()
	conn := c.connect(t)
	defer conn.Close(context.WithoutCancel(t.Context()))
	for _, sql := range statements {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
}

// tenants returns n tenants t0, t1, … whose pools all lead to the database "postgres", and the base configuration.
func (c *cluster) tenants(t testing.TB, n int) (*tenants, *pgxpool.Config) {
	t.Helper()
	base, err := pgxpool.ParseConfig("")
	if err != nil {
		t.Fatal(err)
	}
	base.ConnConfig = c.Admin()
	base.ConnConfig.User, base.ConnConfig.Password = "app", "pw"
	dir := newTenants()
	for i := range n {
		dir.put(tenancy.Tenant{
			ID: nth(i), State: tenancy.Active,
			Endpoint: tenancy.Endpoint{Server: "pg", Database: "postgres"},
		})
	}
	return dir, base
}

func nth(i int) tenancy.ID { return tenancy.ID(fmt.Sprintf("t%d", i)) }

// outcome is how one query of traffic ended.
type outcome struct {
	begun, ended time.Time
	err          error
}

// traffic sends the given number of queries a second, regardless of their outcome, for each tenant in turn, until stop
// is called.
func traffic(t *testing.T, perSecond, tenantCount int, ask func(tenancy.ID) error) (stop func() []outcome) {
	t.Helper()
	done, ended := make(chan struct{}), make(chan []outcome, 1)
	results := make(chan outcome, 1000)
	go func() {
		var all []outcome
		for o := range results {
			all = append(all, o)
		}
		ended <- all
	}()
	const workers = 4
	finished := make(chan struct{}, workers)
	for w := range workers {
		go func() {
			defer func() { finished <- struct{}{} }()
			ticker := time.NewTicker(workers * time.Second / time.Duration(perSecond))
			defer ticker.Stop()
			for i := w; ; i += workers {
				o := outcome{begun: time.Now()}
				o.err = ask(nth(i / workers % tenantCount))
				o.ended = time.Now()
				results <- o
				select {
				case <-done:
					return
				case <-ticker.C:
				}
			}
		}()
	}
	return func() []outcome {
		close(done)
		for range workers {
			<-finished
		}
		close(results)
		return <-ended
	}
}
