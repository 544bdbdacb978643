package devpg_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/goleak"

	"github.com/pgtenancy/pgtenancy/internal/devpg"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
)

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		child()
		return
	}
	if err := os.Unsetenv("DATABASE_URL"); err != nil { // the tests of this package start servers
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

func TestStartRunsAServerThatAnswers(t *testing.T) {
	t.Parallel()
	s := start(t, devpg.Config{Settings: map[string]string{"max_connections": "37"}})
	if !s.Started() {
		t.Error("Started() = false for a server that was started")
	}
	if got := query(t, s.Config(), "SHOW max_connections"); got != "37" {
		t.Errorf("max_connections = %s, want 37", got)
	}
	if got := query(t, s.Config(), "SELECT current_user || ' ' || current_database()"); got != "postgres postgres" {
		t.Errorf("connected as %s", got)
	}
	if got := query(t, s.Config(), "SHOW fsync"); got != "off" {
		t.Errorf("fsync = %s for a temporary server, want off", got)
	}
	socket := s.Config()
	socket.Host = s.Dir()
	if got := query(t, socket, "SELECT inet_server_addr() IS NULL"); got != "true" {
		t.Errorf("connection through %s is not one through a socket", socket.Host)
	}
}

func TestWrongPasswordIsRefused(t *testing.T) {
	t.Parallel()
	s := start(t, devpg.Config{})
	for _, host := range []string{"127.0.0.1", s.Dir()} {
		config := s.Config()
		config.Host, config.Password = host, "guessed"
		_, err := pgx.ConnectConfig(t.Context(), config)
		if pgErr, ok := errors.AsType[*pgconn.PgError](err); !ok || pgErr.Code != "28P01" {
			t.Errorf("connect to %s with a wrong password: %v, want SQLSTATE 28P01", host, err)
		}
	}
}

func TestStopEndsTheServerAndRemovesItsDirectory(t *testing.T) {
	t.Parallel()
	s := start(t, devpg.Config{})
	conn, err := pgx.ConnectConfig(t.Context(), s.Config()) // a session must not hold the server up
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	for range 2 {
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	if alive(s.PID()) {
		t.Error("server runs after Stop")
	}
	if _, err := os.Stat(s.Dir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("directory after Stop: %v, want none", err)
	}
}

func TestDatabaseURLIsUsed(t *testing.T) {
	first := start(t, devpg.Config{})
	t.Setenv("DATABASE_URL", adminURL(first.Config()))
	second := start(t, devpg.Config{})
	if second.Started() {
		t.Error("Started() = true for a server that was found")
	}
	if err := second.Stop(); err != nil {
		t.Fatal(err)
	}
	if first.Config().Port != second.Config().Port || query(t, second.Config(), "SELECT 1") != "1" {
		t.Error("second server is not the first, or was stopped")
	}
}

func TestDatabaseURLThatDoesNotAnswerIsAnErrorWithoutItsPassword(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{
		"postgres://admin:s3cret@127.0.0.1:1/postgres", // no server listens
		"postgres://admin:s3cret@127.0.0.1:x/postgres",
	} {
		_, err := devpg.Start(t.Context(), devpg.Config{URL: bad})
		if err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("Start(%q): %v, want an error without the password", bad, err)
		}
	}
}

func TestKeptDirectorySurvivesRestart(t *testing.T) {
	t.Parallel()
	dir := pgtest.KeptDir(t)
	s := start(t, devpg.Config{Dir: dir})
	execute(t, s.Config(), "CREATE TABLE kept AS SELECT 42 AS n")
	if got := query(t, s.Config(), "SHOW fsync"); got != "on" {
		t.Errorf("fsync = %s for a directory to keep, want on", got)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	s = start(t, devpg.Config{Dir: dir})
	if got := query(t, s.Config(), "SELECT n FROM kept"); got != "42" {
		t.Errorf("n = %s after a restart, want 42", got)
	}
}

// A machine that loses power leaves a pid file, and the pid may be somebody else's by the time it is up again.
func TestStalePIDFileDoesNotStopARestart(t *testing.T) {
	t.Parallel()
	dir := pgtest.KeptDir(t)
	s := start(t, devpg.Config{Dir: dir})
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	other := start(t, devpg.Config{}) // PostgreSQL believes in a pid only if the process is of its own account
	stale := strconv.Itoa(other.PID()) + "\n" + filepath.Join(dir, "data") + "\n"
	if err := os.WriteFile(filepath.Join(dir, "data", "postmaster.pid"), []byte(stale), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, devpg.Config{Dir: dir})
}

func TestDirectoryInUseIsRefused(t *testing.T) {
	t.Parallel()
	dir := pgtest.KeptDir(t)
	start(t, devpg.Config{Dir: dir})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := devpg.Start(ctx, devpg.Config{Dir: dir})
	if !errors.Is(err, devpg.ErrInUse) {
		t.Errorf("second Start: %v, want ErrInUse", err)
	}
}

func TestDirectoryWithOtherFilesIsLeftAlone(t *testing.T) {
	t.Parallel()
	dir := pgtest.KeptDir(t)
	mine := filepath.Join(dir, "thesis.txt")
	if err := os.WriteFile(mine, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := devpg.Start(t.Context(),
		devpg.Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), "thesis.txt") {
		t.Errorf("Start: %v, want an error that names the file", err)
	}
}

func TestPortThatIsTakenIsReported(t *testing.T) {
	t.Parallel()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() { // what answers there is no PostgreSQL
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	_, err = devpg.Start(t.Context(), devpg.Config{Port: l.Addr().(*net.TCPAddr).Port})
	if err == nil || !strings.Contains(err.Error(), "could not bind") {
		t.Errorf("Start on a taken port: %v, want what the server said", err)
	}
}

func TestConfigReportsEveryViolation(t *testing.T) {
	t.Parallel()
	_, err := devpg.Start(t.Context(), devpg.Config{Port: -1, Settings: map[string]string{"": "x"}})
	if err == nil || !strings.Contains(err.Error(), "Config.Port: ") ||
		!strings.Contains(err.Error(), "Config.Settings: ") {
		t.Errorf("Start: %v, want both fields named", err)
	}
}
