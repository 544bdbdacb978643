package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// running is the program, running in this process against a PostgreSQL server of the tests.
type running struct {
	url      string
	prefix   string
	keysFile string
	logs     *buffer
	admin    *pgx.ConnConfig
	registry *pgxpool.Pool
}

// setup says how to run the program.
type setup struct {
	registry string // default: a fresh database
	prefix   string
	domain   string
	maxPools int
	warm     int
	env      map[string]string
	hooks    hooks
}

// start runs the program until the end of the test, and fails the test if it does not end well.
func start(t *testing.T, s setup) *running {
	t.Helper()
	admin := pgtest.Admin(t)
	if s.registry == "" {
		s.registry = pgtest.Database(t).ConnConfig.Database
	}
	env := map[string]string{
		"DATABASE_URL":        connectionString(admin),
		"PGTENANCY_KEYS_FILE": filepath.Join(t.TempDir(), "keys.json"),
	}
	for name, value := range s.env {
		env[name] = value
	}
	args := []string{"-addr=localhost:0", "-registry=" + s.registry, "-warm=" + strconv.Itoa(s.warm)}
	if s.prefix != "" {
		args = append(args, "-prefix="+s.prefix)
	}
	if s.domain != "" {
		args = append(args, "-domain="+s.domain)
	}
	if s.maxPools != 0 {
		args = append(args, "-max-pools="+strconv.Itoa(s.maxPools))
	}
	r := &running{logs: &buffer{}, admin: admin, prefix: s.prefix, keysFile: env["PGTENANCY_KEYS_FILE"]}
	stdout := &buffer{}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, args, process{
			env: func(name string) string { return env[name] }, stdout: stdout, stderr: r.logs, hooks: s.hooks,
		})
		close(ended)
	}()
	t.Cleanup(func() {
		stop()
		if err := pgtest.Receive(t, "the program ends", ended); err != nil {
			t.Errorf("the program ended with %v", err)
		}
		if t.Failed() {
			t.Logf("the end of its log:\n%s", r.logs.tail(4000))
		}
	})
	eventually(t, "the program serves", func() bool {
		select {
		case err := <-ended:
			t.Fatalf("the program did not start: %v", err)
		default:
		}
		r.url = strings.TrimSpace(stdout.String())
		return strings.HasPrefix(r.url, "http://")
	})
	r.registry = pool(t, admin, s.registry)
	return r
}

// pool opens a pool as the superuser, closed at the end of the test.
func pool(t *testing.T, admin *pgx.ConnConfig, database string) *pgxpool.Pool {
	t.Helper()
	cfg, err := poolConfig(admin)
	if err != nil {
		t.Fatal(err)
	}
	cfg.ConnConfig.Database = database
	p, err := pgxpool.NewWithConfig(context.WithoutCancel(t.Context()), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// connectionString is the URL that an administrator would put into DATABASE_URL.
func connectionString(c *pgx.ConnConfig) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(c.User, c.Password),
		Host: net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port))), Path: "/" + c.Database,
	}
	u.RawQuery = "sslmode=disable" // which the servers of the tests do not speak; asking costs a process each time
	if strings.HasPrefix(c.Host, "/") {
		u.Host, u.RawQuery = "", url.Values{"host": {c.Host}, "port": {strconv.Itoa(int(c.Port))}}.Encode()
	}
	return u.String()
}

// one returns the one value that a query returns.
func one[T any](t *testing.T, db *pgxpool.Pool, sql string, args ...any) T {
	t.Helper()
	var v T
	if err := db.QueryRow(t.Context(), sql, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

// column returns the values of a query's one column.
func column(t *testing.T, db *pgxpool.Pool, sql string, args ...any) []string {
	t.Helper()
	rows, err := db.Query(t.Context(), sql, args...)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	values, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return values
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	pgtest.Eventually(t, what, done)
}

// buffer is a bytes.Buffer for several goroutines.
type buffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

var _ io.Writer = (*buffer)(nil)

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func (b *buffer) tail(n int) string {
	s := b.String()
	return s[max(0, len(s)-n):]
}
