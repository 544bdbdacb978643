package fleet_test

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/fleet"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/registry/keyring"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

func TestOpenNamesEverythingThatIsWrong(t *testing.T) {
	t.Parallel()
	_, err := fleet.Open(t.Context(), fleet.Config{
		Registry: "postgres://u:hunter2@h:port/", KeysFile: filepath.Join(t.TempDir(), "none.json"),
		Prefix: "Tenant", UnreadyFor: -1,
		Servers: []fleet.Server{
			{Admin: "postgres://u:hunter2@a,b/postgres"},
			{Admin: "postgres://u:hunter2@a/?sslmode=odd", Name: "main"},
			{Admin: "postgres://u:hunter2@a/postgres", AdminConfig: new(pgxpool.Config), Name: "three"},
			{Name: "four"},
			{Admin: "postgres://u:hunter2@a/postgres", Name: "five"},
		},
		EditRegistry: func(c *registry.Config) { c.Heartbeat = -1 },
		EditTenancy:  func(c *tenancy.Config) { c.MaxPools = -1 },
	})
	if err == nil {
		t.Fatal("opened")
	}
	for _, want := range []string{
		"fleet: Config.UnreadyFor: ", "fleet: Config.Registry: not a connection string", "fleet: Config.KeysFile: ",
		"fleet: Config.Servers[0].Admin: must name one host", "fleet: Config.Servers[1].Admin: not a connection string",
		`fleet: Config.Servers[1].Name: "main" is taken`, "fleet: Config.Servers[2].Admin: must not be set beside",
		"fleet: Config.Servers[3].Admin: required", "provision: Config.Schema: required", "provision: Config.Prefix: ",
		"registry: Config.Heartbeat: ", "tenancy: Config.MaxPools: ",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not named", want)
		}
	}
	if lines := strings.Count(err.Error(), "\n") + 1; lines != 12 || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%d lines:\n%v", lines, err)
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a password is shown: %v", err)
	}
	_, err = fleet.Open(t.Context(), fleet.Config{
		RegistryConfig: &pgxpool.Config{ConnConfig: &pgx.ConnConfig{}}, Keyring: newKeyring(t), Schema: schema(""),
		Servers: []fleet.Server{{AdminConfig: &pgxpool.Config{ConnConfig: &pgx.ConnConfig{}}}},
	})
	if err == nil || strings.Count(err.Error(), "must be made by pgxpool.ParseConfig") != 3 { // Base and Bases are of one
		t.Errorf("configurations that were not parsed: %v", err)
	}
}

// cancelling cancels a context when the last query of its number begins.
type cancelling struct {
	left   atomic.Int64
	cancel context.CancelFunc
}

func (c *cancelling) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	if c.left.Add(-1) == 0 {
		c.cancel()
	}
	return ctx
}

func (*cancelling) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// TestOpenThatIsCancelledAnywhereLeavesNothing is not parallel: it counts goroutines.
func TestOpenThatIsCancelledAnywhereLeavesNothing(t *testing.T) {
	f := newFixture(t)
	f.config.Servers[0].MaxConns = 20
	first := f.open(t) // makes tables and template, which stay, and whose number of queries is another
	must(t, first.Close(pgtest.Context(t)))
	f.isQuiet(t, runtime.NumGoroutine())
	before := runtime.NumGoroutine()
	for n := int64(1); ; n += pgtest.Size(int64(6), 1) {
		ctx, cancel := context.WithCancel(t.Context())
		tracer := &cancelling{cancel: cancel}
		tracer.left.Store(n)
		cfg := f.config
		cfg.RegistryConfig = cfg.RegistryConfig.Copy()
		cfg.RegistryConfig.ConnConfig.Tracer = tracer
		cfg.EditProvision = func(c *provision.Config) { c.Admins["main"].Tracer = tracer }
		opened, err := fleet.Open(ctx, cfg)
		if err == nil { // the last queries are of the loops
			must(t, opened.Close(pgtest.Context(t)))
			f.isQuiet(t, before)
			cancel()
			if n < 20 {
				t.Errorf("Open makes %d queries", n)
			}
			return
		}
		cancel()
		if !errors.Is(err, context.Canceled) || opened != nil {
			t.Fatalf("cancelled at query %d: %v", n, err)
		}
		f.isQuiet(t, before)
		if left := f.routers(t); left != 0 {
			t.Fatalf("cancelled at query %d: %d processes have a share of the connections", n, left)
		}
	}
}

func TestOpenRefusesKeysThatAreNotTheRegistrys(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	opened := f.open(t)
	_, err := opened.Provisioner().Create(t.Context(), provision.Request{ID: "acme"})
	must(t, err)
	path := filepath.Join(t.TempDir(), "keys.json")
	must(t, keyring.CreateFile(path)) // on another machine
	cfg := f.config
	cfg.Keyring, cfg.KeysFile = nil, path
	_, err = fleet.Open(t.Context(), cfg)
	var unsigned *registry.UnsignedServerError
	if !errors.As(err, &unsigned) || !strings.Contains(err.Error(), path) {
		t.Errorf("with other keys: %v", err)
	}
	lease, err := opened.Resolver().Acquire(t.Context(), "acme")
	must(t, err)
	defer lease.Release()
	must(t, lease.Pool().Ping(t.Context()))
}

func TestOpenFailsIfNoServerCanBePreparedAndServesIfOneCan(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	dead := f.config.Servers[0].AdminConfig.Copy()
	dead.ConnConfig.Host, dead.ConnConfig.Port = "127.0.0.1", uint16(ln.Addr().(*net.TCPAddr).Port)
	must(t, ln.Close())
	cfg := f.config
	cfg.Servers = []fleet.Server{{Name: "dead", AdminConfig: dead}}
	if _, err := fleet.Open(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), `"dead"`) {
		t.Errorf("without a server that lives: %v", err)
	}
	logged := make(lines, 10)
	cfg.Servers = append(cfg.Servers, f.config.Servers...)
	cfg.Logger = slog.New(slog.NewTextHandler(logged, &slog.HandlerOptions{Level: slog.LevelWarn}))
	opened, err := fleet.Open(t.Context(), cfg)
	must(t, err)
	defer func() { must(t, opened.Close(pgtest.Context(t))) }()
	if line := pgtest.Receive(t, "the log", logged); !strings.Contains(line, "not ready for new tenants") {
		t.Errorf("logged: %s", line)
	}
	_, err = opened.Provisioner().Create(t.Context(), provision.Request{ID: "acme", Server: "main"})
	must(t, err)
	must(t, opened.Check(t.Context()))
}

// lines is a log; it drops lines when it is full.
type lines chan string

func (l lines) Write(line []byte) (int, error) {
	select {
	case l <- string(line):
	default:
	}
	return len(line), nil
}

func TestOpenWarnsOfAddressesAndServersThatTheRegistryHasOtherwise(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	opened := f.open(t)
	must(t, opened.Registry().PutServer(t.Context(), registry.Server{Name: "elsewhere", Host: "h", Port: 1}))
	s, err := opened.Registry().Server(t.Context(), "main")
	must(t, err)
	s.Host = "localhost." // the same, in another spelling
	must(t, opened.Registry().PutServer(t.Context(), s))
	logged := make(lines, 10)
	cfg := f.config
	cfg.Logger = slog.New(slog.NewTextHandler(logged, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if again, err := fleet.Open(t.Context(), cfg); err == nil {
		must(t, again.Close(pgtest.Context(t)))
	}
	for _, want := range []string{`another address.*server=main`, `missing in Config.Servers.*server=elsewhere`} {
		text, name, _ := strings.Cut(want, ".*")
		line := pgtest.Receive(t, want, logged)
		if !strings.Contains(line, text) || !strings.Contains(line, name) {
			t.Errorf("logged %s, want %s", line, want)
		}
	}
}
