package tenancytest_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/tenancy/tenancytest"
)

// The tests of this file run this program again, as the test binary of another package: with a server that they share,
// or without one.

// childVariable says how a child ends; childSchema what it builds.
const (
	childVariable = "TENANCYTEST_CHILD"
	childSchema   = "TENANCYTEST_CHILD_SCHEMA"
)

// TestChild is what a child runs. It prints "built" if it makes the template, and then the database that it has.
func TestChild(t *testing.T) {
	end := os.Getenv(childVariable)
	if end == "" {
		return
	}
	fsys := files("schema.sql", os.Getenv(childSchema))
	schema := tenancytest.Migrations(fsys, func(ctx context.Context, cfg *pgx.ConnConfig) error {
		fmt.Println("built")
		return tenancytest.Files(fsys, "*.sql").Build(ctx, cfg)
	})
	cfg := tenancytest.Config{Schema: schema, TenantOwns: strings.Contains(end, "owning")}
	var tenant *tenancytest.Tenant
	if strings.HasPrefix(end, "system") {
		tenant = tenancytest.NewSystem(t, tenancytest.SystemConfig{Config: cfg}).Tenant(t)
	} else {
		tenant = tenancytest.New(t, cfg).Tenant(t)
	}
	ping := func() {
		if err := tenant.Lease(t).Pool().Ping(t.Context()); err != nil {
			t.Error(err)
		}
	}
	ping()
	if strings.Contains(end, "fault") {
		tenant.Suspend(t)
		tenant.Resume(t)
		tenant.Fence(t)
		tenant.Resume(t)
		ping()
		tenant.Terminate(t)
	}
	fmt.Println(tenant.Database())
	switch {
	case strings.HasSuffix(end, "panic"):
		panic("the tested code panics")
	case strings.HasSuffix(end, "fatal"):
		t.Fatal("the test fails")
	case strings.HasSuffix(end, "wait"):
		_, _ = io.ReadAll(os.Stdin)
	}
}

// process is a child that runs. Its output ends with the name of its database.
type process struct {
	cmd      *exec.Cmd
	stdin    io.Closer
	built    bool
	database string
}

func startChild(t *testing.T, end, schema, url string) *process {
	t.Helper()
	p := &process{cmd: exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChild$", "-test.timeout=5m")}
	p.cmd.Env = append(os.Environ(), childVariable+"="+end, childSchema+"="+schema, "TENANCYTEST_DATABASE_URL="+url)
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); p.database == "" && lines.Scan(); {
		switch line := lines.Text(); {
		case line == "built":
			p.built = true
		case strings.HasPrefix(line, "ttest_"):
			p.database = line
		default:
			t.Errorf("the child says %q", line)
		}
	}
	if p.database == "" {
		_ = p.cmd.Wait()
		t.Fatal("the child has no database")
	}
	return p
}

// end lets the child go on, and waits for it. It returns whether its tests passed.
func (p *process) end() bool {
	_ = p.stdin.Close()
	return p.cmd.Wait() == nil
}

// shared is a server that children share.
type shared struct {
	url   string
	admin *pgx.ConnConfig
}

func newShared(t *testing.T) shared {
	t.Helper()
	admin := pgtest.NewCluster(t, pgtest.ClusterConfig{}).Admin()
	return shared{
		fmt.Sprintf("postgres://%s:%s@%s:%d/postgres?sslmode=disable", admin.User, admin.Password, admin.Host, admin.Port),
		admin,
	}
}

// names lists the databases and roles of runs, without templates.
func (s shared) names(t *testing.T) []string {
	t.Helper()
	conn, err := pgx.ConnectConfig(t.Context(), s.admin)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	rows, _ := conn.Query(t.Context(), `
		SELECT name FROM (SELECT datname FROM pg_database UNION ALL SELECT rolname FROM pg_roles) AS every (name)
		WHERE name ~ '^ttest_[0-9a-f]{8}_'`)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestNothingIsLeftOnASharedServer(t *testing.T) {
	t.Parallel()
	s := newShared(t)
	for _, end := range []string{"end", "fatal", "panic", "system end", "system fatal", "system panic"} {
		p := startChild(t, end, notesTable, s.url)
		if passed := p.end(); passed != strings.HasSuffix(end, "end") {
			t.Errorf("%s: the child's test passed: %t", end, passed)
		}
		if names := s.names(t); len(names) > 0 {
			t.Errorf("%s: left: %q", end, names)
		}
	}
}

func TestRoleThatIsNoSuperuserIsEnough(t *testing.T) {
	t.Parallel()
	s := newShared(t)
	conn, err := pgx.ConnectConfig(t.Context(), s.admin)
	if err != nil {
		t.Fatal(err)
	}
	_, err = conn.Exec(t.Context(), "CREATE ROLE ci LOGIN CREATEDB CREATEROLE PASSWORD 'pw'")
	var version int
	err = errors.Join(err, conn.QueryRow(t.Context(), "SELECT current_setting('server_version_num')::int").Scan(&version))
	if err := errors.Join(err, conn.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	s.url = fmt.Sprintf("postgres://ci:pw@%s:%d/postgres?sslmode=disable", s.admin.Host, s.admin.Port)
	ends := []string{"end", "owning end", "fault end"}
	if version >= 150_000 { // before, only a superuser can close schema public to tenants: provision.ErrPublicSchema
		ends = append(ends, "system end", "system fault end")
	}
	for _, end := range ends {
		if !startChild(t, end, notesTable, s.url).end() {
			t.Errorf("%s: the child's test failed", end)
		}
		if names := s.names(t); len(names) > 0 {
			t.Errorf("%s: left: %q", end, names)
		}
	}
}

func TestWhatAKilledProcessLeftGoesWithTheNext(t *testing.T) {
	t.Parallel()
	s := newShared(t)
	killed := startChild(t, "system wait", notesTable, s.url)
	alive := startChild(t, "wait", notesTable, s.url)
	_ = killed.cmd.Process.Kill()
	killed.end()
	if names := s.names(t); !slices.Contains(names, killed.database) {
		t.Errorf("a killed process left %q, want %q among them: the test proves nothing", names, killed.database)
	}
	pgtest.Eventually(t, "the next process drops it", func() bool { // once the killed one's sessions have ended
		next := startChild(t, "end", notesTable, s.url)
		if !next.end() {
			t.Error("the child's test failed")
		}
		names := s.names(t)
		if !slices.Contains(names, alive.database) {
			t.Fatalf("the database of a process that lives is gone; left: %q", names)
		}
		return len(names) == 1
	})
	if !alive.end() {
		t.Error("the test of the process that lived on failed")
	}
}

func TestProcessesShareTheTemplateOfASchema(t *testing.T) {
	t.Parallel()
	s := newShared(t)
	for _, step := range []struct {
		schema string
		built  bool
	}{{notesTable, true}, {notesTable, false}, {notesTable + " -- again", true}} {
		p := startChild(t, "end", step.schema, s.url)
		if !p.end() || p.built != step.built {
			t.Errorf("the child built %q: %t, want %t", step.schema, p.built, step.built)
		}
	}
}

func TestProcessesBesideEachOther(t *testing.T) {
	t.Parallel()
	s := newShared(t)
	var children sync.WaitGroup
	for range 4 {
		children.Go(func() {
			if !startChild(t, "end", notesTable, s.url).end() {
				t.Error("a child's test failed")
			}
		})
	}
	pgtest.Wait(t, "the children", children.Wait)
	if names := s.names(t); len(names) > 0 {
		t.Errorf("left: %q", names)
	}
}

func TestTemplateThatIsNotUsedGoes(t *testing.T) {
	t.Parallel()
	s := newShared(t)
	startChild(t, "end", notesTable, s.url).end()
	conn, err := pgx.ConnectConfig(t.Context(), s.admin)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	templates := func() string {
		var names *string
		err := conn.QueryRow(t.Context(),
			"SELECT string_agg(datname, ' ') FROM pg_database WHERE datname LIKE 'ttest\\_template\\_%'").Scan(&names)
		if err != nil || names == nil {
			t.Fatalf("no templates: %v", err)
		}
		return *names
	}
	first := templates()
	if _, err := conn.Exec(t.Context(), fmt.Sprintf("COMMENT ON DATABASE %s IS 'used 1600000000'", first)); err != nil {
		t.Fatal(err)
	}
	startChild(t, "end", "CREATE TABLE other ()", s.url).end()
	if second := templates(); strings.Contains(second, first) || strings.Contains(second, " ") {
		t.Errorf("templates %q, want only the new one, and not %q", second, first)
	}
}
