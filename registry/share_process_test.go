package registry_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// router configures, through the environment, a process that shares a budget.
type router struct {
	Host      string
	Port      uint16
	User      string
	Password  string
	Registry  string   // database
	Databases []string // one for each tenant

	Heartbeat time.Duration
	Count     bool    // what dead processes left
	Sleep     float64 // seconds that a query takes
}

const (
	routerVar       = "PGTENANCY_TEST_ROUTER"
	routerHeartbeat = 100 * time.Millisecond
)

// TestRouterProcess is the body of the processes that the test below starts. In any other it does nothing.
func TestRouterProcess(t *testing.T) {
	var told router
	if json.Unmarshal([]byte(os.Getenv(routerVar)), &told) != nil {
		return
	}
	ctx, stop := signal.NotifyContext(t.Context(), syscall.SIGTERM)
	defer stop()
	base, err := pgxpool.ParseConfig("host=localhost sslmode=disable")
	must(t, err)
	base.ConnConfig.Host, base.ConnConfig.Port = told.Host, told.Port
	base.ConnConfig.User, base.ConnConfig.Password = told.User, told.Password
	if told.Sleep > 1 { // a query is to outlive its process
		base.ConnConfig.RuntimeParams["client_connection_check_interval"] = "0"
	}
	catalog := base.Copy()
	catalog.ConnConfig.Database = told.Registry
	pool, err := pgxpool.NewWithConfig(context.WithoutCancel(ctx), catalog)
	must(t, err)
	defer pool.Close()
	reg, err := registry.New(registry.Config{Pool: pool, Keyring: newKeyring(t, 1), Heartbeat: told.Heartbeat})
	must(t, err)
	resolver, err := tenancy.New(tenancy.Config{Directory: told.directory(), Base: base, BudgetWait: time.Minute})
	must(t, err)
	var budgeted registry.Budgeted = resolver
	if told.Count {
		budgeted = counting{resolver, pgtestConfig(base), told.Databases}
	}
	share, err := reg.JoinBudget(ctx, budgeted)
	must(t, err)
	fmt.Println("router: ready")

	running, end := context.WithCancel(context.WithoutCancel(ctx))
	var loop, workers sync.WaitGroup
	loop.Go(func() { must(t, share.Run(running)) })
	var said sync.Once
	for range 8 {
		workers.Go(func() { told.query(ctx, t, resolver, &said) })
	}
	workers.Go(func() { told.busy(ctx, t, resolver) })
	pgtest.Wait(t, "every worker ends", workers.Wait)
	must(t, resolver.Close(context.WithoutCancel(ctx)))
	end()
	pgtest.Wait(t, "the loop ends", loop.Wait)
}

func (told router) directory() tenancy.DirectoryFunc {
	return func(_ context.Context, id tenancy.ID) (tenancy.Tenant, error) {
		return tenancy.Tenant{ID: id, State: tenancy.Active, Endpoint: tenancy.Endpoint{
			Server: "s1", Database: string(id),
		}}, nil
	}
}

// busy says so when the process has used all that its workers can.
func (told router) busy(ctx context.Context, t *testing.T, r *tenancy.Resolver) {
	if !told.Count {
		return
	}
	eventually(t, "busy", func() bool {
		servers := r.Stat().Servers()
		return ctx.Err() != nil || len(servers) > 0 && servers[0].OpenConns() >= min(8, servers[0].MaxConns())
	})
	fmt.Println("router: busy")
}

// query asks random tenants until ctx ends. said is done after the first answer.
func (told router) query(ctx context.Context, t *testing.T, r *tenancy.Resolver, said *sync.Once) {
	for ctx.Err() == nil {
		id := tenancy.ID(told.Databases[rand.IntN(len(told.Databases))])
		err := r.AcquireFunc(ctx, id, func(ctx context.Context, db *pgxpool.Pool) error {
			var name string
			err := db.QueryRow(ctx, "SELECT current_database() FROM pg_sleep($1::float8)", told.Sleep).Scan(&name)
			if err == nil && name != string(id) {
				err = fmt.Errorf("%s answers for %s", name, id)
			}
			return err
		})
		if err != nil && ctx.Err() == nil {
			t.Error(err)
		}
		if err == nil {
			said.Do(func() { fmt.Println("router: served") })
		}
	}
}

// pgtestConfig returns how the administrator connects.
func pgtestConfig(base *pgxpool.Config) *pgx.ConnConfig {
	cfg := base.ConnConfig.Copy()
	cfg.Database = "postgres"
	return cfg
}

// router returns a router that shares the budget of f's server among eight tenants.
func (f *fixture) router(t *testing.T) router {
	t.Helper()
	admin := pgtest.Admin(t)
	told := router{
		Host: admin.Host, Port: admin.Port, User: admin.User, Password: admin.Password,
		Registry: f.pool.Config().ConnConfig.Database, Heartbeat: routerHeartbeat,
	}
	for range 8 {
		told.Databases = append(told.Databases, pgtest.Database(t).ConnConfig.Database)
	}
	return told
}

// TestProcessesThatComeAndDieStayWithinTheBudget counts the server's connections while processes join, end and are
// killed.
func TestProcessesThatComeAndDieStayWithinTheBudget(t *testing.T) {
	t.Parallel()
	const budget, most = 12, 4
	f := newFixture(t)
	f.budgetOf(t, budget)
	told := f.router(t)
	conn, err := pgx.ConnectConfig(t.Context(), pgtest.Admin(t))
	must(t, err)
	defer func() { must(t, conn.Close(context.WithoutCancel(t.Context()))) }()

	var crew []*exec.Cmd
	peak, samples, over, kills := 0, 0, 0, 0
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	ticks := pgtest.Size(120, 6_000) // 6 s, or 5 min; longer where processes start slowly
	for tick := 0; tick < ticks || tick < 2_000 && (peak < budget/2 || kills < 4); tick++ {
		<-ticker.C
		open := 0
		must(t, conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity
			WHERE backend_type = 'client backend' AND datname = ANY($1)`, told.Databases).Scan(&open))
		samples, peak = samples+1, max(peak, open)
		if open > budget {
			over++
			t.Errorf("%d connections are open, the budget is %d", open, budget)
		}
		switch {
		case tick%15 != 0:
		case len(crew) < most:
			crew = append(crew, told.start(t))
		default:
			kill := []os.Signal{syscall.SIGKILL, syscall.SIGTERM}[kills%2]
			must(t, crew[0].Process.Signal(kill))
			if err := crew[0].Wait(); (err == nil) != (kill == syscall.SIGTERM) {
				t.Errorf("a process ended by %v: %v", kill, err)
			}
			crew, kills = crew[1:], kills+1
		}
	}
	for _, cmd := range crew {
		must(t, cmd.Process.Signal(syscall.SIGTERM))
		must(t, cmd.Wait())
	}
	pgtest.Figure(t, "R2", "processes that join, end and are killed (%d of them): %d of %d samples over the budget of "+
		"%d, at most %d connections",
		kills, over, samples, budget, peak)
	if peak < budget/2 || kills < 4 {
		t.Error("the processes did too little to show anything")
	}
}

func (told router) start(t *testing.T) *exec.Cmd {
	t.Helper()
	cmd := told.command(t)
	cmd.Stdout = t.Output()
	must(t, cmd.Start())
	return cmd
}

func (told router) command(t *testing.T) *exec.Cmd {
	t.Helper()
	text, err := json.Marshal(told)
	must(t, err)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestRouterProcess$", "-test.v")
	cmd.Env = append(os.Environ(), routerVar+"="+string(text))
	cmd.Stderr = t.Output()
	return cmd
}
