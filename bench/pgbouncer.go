package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// findPgBouncer looks where Debian puts it too, which is in no user's PATH.
func findPgBouncer() (string, error) {
	if path, err := exec.LookPath("pgbouncer"); err == nil {
		return path, nil
	}
	return exec.LookPath("/usr/sbin/pgbouncer")
}

// pgBouncer is a PgBouncer in front of the fleet's server, and a service with a pool for each tenant in front of it.
type pgBouncer struct {
	poolMap
	dir    string
	cmd    *exec.Cmd
	read   chan struct{} // closed when its log has ended
	dialed atomic.Int64
}

const pgBouncerConfig = `[databases]
* = host=%s port=%d
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = trust
auth_file = %s
pool_mode = transaction
max_client_conn = 10000
default_pool_size = %d
max_user_connections = %d
log_connections = 1
log_disconnections = 0
log_pooler_errors = 0
log_stats = 0
`

func startPgBouncer(ctx context.Context, path string, f *fleet, conns int) (target, error) {
	b := &pgBouncer{read: make(chan struct{})}
	var err error
	if b.dir, err = os.MkdirTemp("", "bench-pgbouncer-"); err != nil {
		return nil, err
	}
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(b.configure(f, port, conns), b.start(ctx, path)); err != nil {
		return nil, errors.Join(err, os.RemoveAll(b.dir))
	}
	base, err := f.base()
	if err == nil {
		cc := base.ConnConfig
		cc.Host, cc.Port, cc.TLSConfig, cc.Fallbacks = "127.0.0.1", port, nil, nil
		cc.DialFunc = (&net.Dialer{Timeout: 5 * time.Second}).DialContext // what counts are PgBouncer's own
		cc.DefaultQueryExecMode = pgx.QueryExecModeExec                   // no prepared statement outlives a transaction
		b.poolMap = poolMap{fleet: f, base: base, count: b.dialed.Load}
		err = b.ready(ctx, cc.Copy())
	}
	if err != nil {
		b.close()
		return nil, fmt.Errorf("start PgBouncer: %w", err)
	}
	return b, nil
}

func (b *pgBouncer) configure(f *fleet, port uint16, conns int) error {
	server := f.server.Config()
	users, ini := filepath.Join(b.dir, "users.txt"), b.ini()
	text := fmt.Sprintf(pgBouncerConfig, server.Host, server.Port, port, users, perTenant, conns)
	return errors.Join(
		os.WriteFile(users, fmt.Appendf(nil, "%q %q\n", f.prefix, f.password), 0o600),
		os.WriteFile(ini, []byte(text), 0o600),
	)
}

func (b *pgBouncer) ini() string { return filepath.Join(b.dir, "pgbouncer.ini") }

// start runs it as nobody if this process is root's: it refuses to be root, as PostgreSQL does.
func (b *pgBouncer) start(ctx context.Context, path string) error {
	args := []string{b.ini()}
	if os.Geteuid() == 0 {
		const nobody = 65534
		args = []string{"-u", "nobody", b.ini()}
		for _, file := range []string{b.dir, b.ini(), filepath.Join(b.dir, "users.txt")} {
			if err := os.Chown(file, nobody, nobody); err != nil {
				return err
			}
		}
	}
	b.cmd = exec.CommandContext(context.WithoutCancel(ctx), path, args...) //nolint:gosec // what PATH has
	log, err := b.cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := b.cmd.Start(); err != nil {
		return err
	}
	go func() {
		defer close(b.read)
		for lines := bufio.NewScanner(log); lines.Scan(); {
			if strings.Contains(lines.Text(), "new connection to server") {
				b.dialed.Add(1)
			}
		}
	}()
	return nil
}

// ready waits until a query comes through.
func (b *pgBouncer) ready(ctx context.Context, config *pgx.ConnConfig) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgx.ConnectConfig(ctx, config)
		if err == nil {
			_, err = selectName(ctx, conn, 1)
			err = errors.Join(err, conn.Close(ctx))
		}
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}

func (b *pgBouncer) close() {
	b.poolMap.close()
	_ = b.cmd.Process.Signal(syscall.SIGTERM) // at once; no client waits for requests in flight
	<-b.read
	_ = b.cmd.Wait() // it says that it was told to stop
	_ = os.RemoveAll(b.dir)
}

func freePort(ctx context.Context) (uint16, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return 0, err
	}
	var n uint16
	_, err = fmt.Sscan(port, &n)
	return n, errors.Join(err, l.Close())
}
