package devpg

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// ErrNoPooler is returned by StartPooler when this machine has no PgBouncer. Its text is one line that says what to
// install.
var ErrNoPooler = errors.New("devpg: no PgBouncer found: install it (Debian, Ubuntu: apt-get install pgbouncer; " +
	"macOS: brew install pgbouncer)")

// Pooler is a PgBouncer in transaction mode in front of one server. It has four connections for each database and role,
// and gives up on the server after seconds, where its own defaults are minutes.
type Pooler struct {
	config *pgx.ConnConfig
	dir    *directory
	proc   *process
	stop   func() error
}

// StartPooler starts a PgBouncer in front of the server that a superuser's configuration leads to, for every database
// and role there is. ctx governs the starting alone. The caller must Stop the pooler; it is gone with the process, as a
// Server is.
func StartPooler(ctx context.Context, server *pgx.ConnConfig) (*Pooler, error) {
	path, err := findPooler()
	if err != nil {
		return nil, err
	}
	acct, err := serverAccount()
	if err != nil {
		return nil, err
	}
	dir, err := openDirectory(ctx, "", acct)
	if err != nil {
		return nil, err
	}
	p := &Pooler{config: server.Copy(), dir: dir}
	p.stop = sync.OnceValue(p.end)
	if err := p.launch(ctx, path, server); err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	return p, nil
}

// Config returns a copy of the superuser's configuration that leads to the pooler.
func (p *Pooler) Config() *pgx.ConnConfig { return p.config.Copy() }

// Stop ends the pooler and waits until it has ended.
func (p *Pooler) Stop() error { return p.stop() }

func (p *Pooler) end() error {
	var err error
	if p.proc != nil {
		err = p.proc.stop()
	}
	return errors.Join(err, p.dir.close())
}

// findPooler looks where Debian puts it, too: root's PATH has it, others' have not.
func findPooler() (string, error) {
	for _, name := range []string{"pgbouncer", "/usr/sbin/pgbouncer", "/opt/homebrew/bin/pgbouncer"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", ErrNoPooler
}

func (p *Pooler) launch(ctx context.Context, path string, server *pgx.ConnConfig) error {
	port, err := freePort(ctx)
	if err != nil {
		return err
	}
	p.config.Host, p.config.Port, p.config.Fallbacks = "127.0.0.1", uint16(port), nil //nolint:gosec // a port
	// A pooler may run statements of one client on several connections: none may be prepared by name.
	p.config.DefaultQueryExecMode = pgx.QueryExecModeExec
	ini, err := p.configure(port, server)
	if err != nil {
		return err
	}
	programs := programs{bin: filepath.Dir(path), dir: p.dir}
	if p.proc, err = programs.start(ctx, io.Discard, filepath.Base(path), ini); err != nil {
		return err
	}
	return p.ready(ctx)
}

// configure writes PgBouncer's files. It logs in with what the server knows of a role, so that passwords are checked as
// without it (auth_query in its manual).
func (p *Pooler) configure(port int, server *pgx.ConnConfig) (string, error) {
	ini, users := filepath.Join(p.dir.path, "pgbouncer.ini"), filepath.Join(p.dir.path, "users")
	text := fmt.Sprintf(`[databases]
* = host=%s port=%d
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = scram-sha-256
auth_file = %s
auth_user = %s
auth_query = SELECT usename, passwd FROM pg_catalog.pg_shadow WHERE usename = $1
pool_mode = transaction
default_pool_size = 4
max_client_conn = 1000
server_login_retry = 1
query_wait_timeout = 2
`, server.Host, server.Port, port, users, server.User)
	account := strconv.Quote(server.User) + " " + strconv.Quote(server.Password) + "\n"
	err := errors.Join(os.WriteFile(ini, []byte(text), 0o600), os.WriteFile(users, []byte(account), 0o600),
		p.dir.account.ownFile(ini), p.dir.account.ownFile(users))
	if err != nil {
		return "", fmt.Errorf("devpg: configure the pooler: %w", err)
	}
	return ini, nil
}

// ready waits until a query goes through.
func (p *Pooler) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	retry := time.NewTicker(10 * time.Millisecond)
	defer retry.Stop()
	for {
		if ping(ctx, p.config) == nil {
			return nil
		}
		select {
		case <-p.proc.done:
			return fmt.Errorf("devpg: the pooler ended while it started: %s", p.proc.log)
		case <-ctx.Done():
			return fmt.Errorf("devpg: the pooler did not start in time: %w: %s", ctx.Err(), p.proc.log)
		case <-retry.C:
		}
	}
}
