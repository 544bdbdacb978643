package devpg

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
)

// Server is a PostgreSQL server that Start found or started. It is safe for concurrent use.
type Server struct {
	config *pgx.ConnConfig
	dir    *directory // nil for a server that was found
	proc   *process
	reaper *reaper
	stop   func() error
}

// Start returns the server that Config.URL or DATABASE_URL names, once it answered; or it starts one. ctx governs
// the starting alone, which may take no longer than a minute: a server that has started runs until Stop.
//
// It returns ErrNotFound if there is no PostgreSQL to start, and ErrInUse if another server has Config.Dir. The
// caller must Stop the server.
func Start(ctx context.Context, config Config) (*Server, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if config.URL != "" {
		return found(ctx, config.URL)
	}
	acct, err := serverAccount()
	if err != nil {
		return nil, err
	}
	dir, err := openDirectory(ctx, config.Dir, acct)
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir}
	s.stop = sync.OnceValue(s.end)
	bin, err := Binaries(ctx)
	if err == nil {
		err = s.launch(ctx, programs{bin: bin, dir: dir, scratch: dir.temporary || config.Own}, config)
	}
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	s.reaper = startReaper(ctx, dir, s.proc.cmd.Process.Pid)
	return s, nil
}

// Config returns a copy of the superuser's connection configuration. Its database is "postgres", unless a URL named
// another one.
func (s *Server) Config() *pgx.ConnConfig { return s.config.Copy() }

// Started reports whether Start started the server, rather than found it by its URL.
func (s *Server) Started() bool { return s.dir != nil }

// Stop ends a server that was started, and waits until it has ended: up to 25 seconds if its sessions hang on. It
// removes a temporary directory. A server that was found is left as it is. Further calls return the first one's result.
func (s *Server) Stop() error { return s.stop() }

// Crash ends a server that was started at once, as pg_ctl stop -m immediate does, and then does what Stop does. A
// server with Config.Dir can be started again: it recovers.
func (s *Server) Crash() error {
	if s.proc != nil {
		_ = s.proc.cmd.Process.Signal(syscall.SIGQUIT) // fails only if it has ended
	}
	return s.Stop()
}

func (s *Server) end() error {
	var err error
	if s.proc != nil {
		err = s.proc.stop()
	}
	s.reaper.dismiss()
	return errors.Join(err, s.dir.close())
}

func found(ctx context.Context, url string) (*Server, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, errors.New("devpg: DATABASE_URL is not a PostgreSQL connection string") // err may quote it
	}
	if config.Database == "" {
		config.Database = "postgres"
	}
	if err := ping(ctx, config); err != nil {
		return nil, connectError("connect to the server of DATABASE_URL", err)
	}
	return &Server{config: config, stop: func() error { return nil }}, nil
}

// launch makes the cluster and starts the server. The port that was free may be taken by the time the server binds it:
// then it tries others.
func (s *Server) launch(ctx context.Context, p programs, config Config) error {
	if err := p.initialize(ctx); err != nil {
		return err
	}
	password := rand.Text()
	if err := p.setPassword(ctx, password); err != nil {
		return err
	}
	for attempt := 1; ; attempt++ {
		port := config.Port
		if port == 0 {
			var err error
			if port, err = freePort(ctx); err != nil {
				return err
			}
		}
		var err error
		if s.config, err = localConfig(port, password); err != nil {
			return err
		}
		if s.proc, err = p.start(ctx, config.Log, "postgres", serverArgs(s.dir, port, config.Settings)...); err != nil {
			return err
		}
		err = s.ready(ctx)
		if err == nil || config.Port != 0 || attempt == 5 || !strings.Contains(s.proc.log.String(), "could not bind") {
			return err
		}
	}
}

// ready waits until the server answers.
func (s *Server) ready(ctx context.Context) error {
	retry := time.NewTicker(10 * time.Millisecond)
	defer retry.Stop()
	for {
		err := ping(ctx, s.config)
		if err == nil {
			return nil
		}
		if code := pgerr.State(err); code != "" && code != pgerr.CannotConnectNow { // it is starting
			return connectError("connect to the new server", err)
		}
		select {
		case <-s.proc.done:
			return fmt.Errorf("devpg: the server ended while it started: %s", s.proc.log)
		case <-ctx.Done():
			return fmt.Errorf("devpg: the server did not start in time: %w: %s", ctx.Err(), s.proc.log)
		case <-retry.C:
		}
	}
}

func ping(ctx context.Context, config *pgx.ConnConfig) error {
	conn, err := pgx.ConnectConfig(ctx, config.Copy())
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// localConfig leaves nothing to the PG* variables of the environment that would lead elsewhere.
func localConfig(port int, password string) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig("host=127.0.0.1 sslmode=disable target_session_attrs=any connect_timeout=10")
	if err != nil {
		return nil, errors.New("devpg: the PG* variables of the environment do not make a connection configuration")
	}
	config.Host, config.Port, config.Fallbacks = "127.0.0.1", uint16(port), nil //nolint:gosec // checked to be a port
	config.User, config.Password, config.Database = "postgres", password, "postgres"
	return config, nil
}

func serverArgs(dir *directory, port int, settings map[string]string) []string {
	all := map[string]string{
		"listen_addresses": "127.0.0.1",
		// DROP DATABASE waits for every session of the server, also for a session that stalls while it logs in.
		"authentication_timeout":  "5s",
		"port":                    strconv.Itoa(port),
		"unix_socket_directories": `"` + dir.path + `"`,
	}
	if len(dir.path) > 80 {
		all["unix_socket_directories"] = "" // a socket's path has room for 107 bytes, on macOS for 103
	}
	if dir.temporary {
		maps.Copy(all, map[string]string{
			"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off",
			// With hundreds of small databases a worker would start all the time, and each DROP DATABASE looks through
			// every buffer: with 16 MB it takes half the time that it takes with the default of 128.
			"autovacuum": "off", "shared_buffers": "16MB",
		})
	}
	maps.Copy(all, settings)
	args := []string{"-D", dir.data()}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		args = append(args, "-c", name+"="+all[name])
	}
	return args
}

func freePort(ctx context.Context) (int, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("devpg: find a free port: %w", err)
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}
